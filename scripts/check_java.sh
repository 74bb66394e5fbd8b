#!/usr/bin/env bash
# Says in one sentence what to do where there is no Java that Spark 4.0 runs on.
java=${JAVA_HOME:+$JAVA_HOME/bin/}java
version=$("$java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -n 1)
case "$version" in
  17 | 21) ;;
  "") echo "qarm needs Java 17 or 21, and there is none: install one (Debian: apt install openjdk-17-jre-headless) or set JAVA_HOME." >&2; exit 2 ;;
  *) echo "qarm needs Java 17 or 21, and $java is version $version: set JAVA_HOME to a Java 17 or 21." >&2; exit 2 ;;
esac
