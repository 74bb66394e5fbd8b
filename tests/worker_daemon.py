"""Spark's Python daemon with the libraries of the workers loaded: Spark ends workers that are idle for a minute, and
the next ones, forked, have torch and transformers at once."""

from __future__ import annotations

from pyspark.daemon import manager

import udfs.user2item  # noqa: F401

if __name__ == "__main__":
    manager()
