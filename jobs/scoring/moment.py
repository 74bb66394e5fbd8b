"""The time for which candidates are sought or scored."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def moment_of(as_of: str, interactions: DataFrame) -> Column:
    """A time of the settings, or, where they give none, just after the last event of the log.

    Args:
        as_of: the time, or an empty text.
        interactions: the log.
    """
    if as_of:
        return F.lit(as_of).cast("timestamp")
    last = interactions.agg(F.unix_micros(F.max("event_time"))).collect()[0][0]
    return F.timestamp_micros(F.lit(last + 1))
