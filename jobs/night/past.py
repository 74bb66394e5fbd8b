"""A night of the past: the log and the catalogue as they were then, in a warehouse of its own."""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.history import has_version, history
from lake.run import Lake
from schemas.errors import UserError
from schemas.tables import INTERACTIONS, ITEMS

FOLDER = "_as_of"


def day_of(text: str) -> date:
    """The day that ``--as-of`` names.

    Raises:
        UserError: the text is no date.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--as-of {text}: must be a date, e.g. 2025-03-31") from None


def warehouse_of(lake: Lake, day: date) -> str:
    """The folder of a night of the past."""
    return f"{lake.warehouse.root}/{FOLDER}/{day.isoformat()}"


def lake_of(lake: Lake, day: date) -> Lake:
    """Writes the log and the catalogue as they were at the beginning of a day to a warehouse of their own.

    A table that has a version of that time is read in it, and so without events that came late. Otherwise the newest
    version is read. Of either, only events before the day count, and items that were known or taken by then.

    Args:
        lake: Spark and the warehouse of today.
        day: the first day that the night must not know.

    Raises:
        UserError: there are no events before the day.
    """
    events = _as_of(lake, INTERACTIONS.name, day).where(F.col("event_date") < F.lit(day))
    if events.isEmpty():
        raise UserError(f"--as-of {day}: table interactions has no events before this day")
    taken = events.select("item_id").distinct().withColumn("_taken", F.lit(True))
    known = F.col("first_seen") < F.lit(datetime.combine(day, time(), UTC))
    items = _as_of(lake, ITEMS.name, day).join(taken, "item_id", "left").where(known | F.col("_taken"))
    past = Lake(lake.spark, lake.settings, warehouse_of(lake, day))
    past.files.ensure_writable(past.warehouse.root)
    past.warehouse.overwrite(INTERACTIONS, events)
    past.warehouse.overwrite(ITEMS, items.select(*ITEMS.names))
    return past


def _as_of(lake: Lake, table: str, day: date) -> DataFrame:
    """A table in its last version before a day, or else in its newest version."""
    begins = int(datetime.combine(day, time(), UTC).timestamp() * 1_000_000)
    versions = [commit.version for commit in history(lake.warehouse, table, 1) if commit.at < begins]
    there = [version for version in versions[-1:] if has_version(lake.warehouse, table, version)]
    return lake.warehouse.read(table, there[0] if there else None)
