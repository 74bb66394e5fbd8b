"""Spark settings for a few hundred rows: what a JVM spends on compiling code and on keeping records of queries."""

from __future__ import annotations

JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xmn512m -XX:ReservedCodeCacheSize=256m -Xss8m"
"""The optimising compiler took a quarter of the JVM's time in tests, and G1 marked the heap beside it. Frames that are
not optimised are larger: MLlib's ALS, whose tasks carry the plans of all iterations, needs a deeper stack."""

QUICK = {
    "spark.driver.extraJavaOptions": JVM,
    # Expressions are interpreted: a query of a few rows takes longer to compile than to run. The cluster compiles them.
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # One plan a query, its text short, no statistics of the columns: none of it pays for a few rows.
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.maxPlanStringLength": "100",
    "spark.databricks.delta.stats.collect": "false",
    "spark.ui.liveUpdate.period": "-1",  # what runs is written down for pages that nobody opens
    # A commit by Hadoop's FileContext starts six processes (readlink, chmod) for each file that it writes.
    "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
}
"""Of the session that the tests share."""

QUICK_CLUSTER = {"spark.driver.extraJavaOptions": JVM, "spark.executor.extraJavaOptions": JVM}
"""Of the cluster's."""
