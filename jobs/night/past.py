"""A night of the past: the log and the catalogue as they were then, in a warehouse of its own."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.history import has_version, history
from lake.lake import Lake
from schemas.errors import UserError
from schemas.tables import INTERACTIONS, ITEMS

FOLDER, SOURCE = "_as_of", "_source.json"
"""Folder of the past nights' warehouses, and in each the file that names the versions that it was written from."""


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
    """The warehouse of a night of the past, which :func:`fill` writes to; it may not exist yet.

    Args:
        lake: Spark and the warehouse of today.
        day: the first day that the night must not know.
    """
    return Lake(lake.spark, lake.settings, warehouse_of(lake, day), from_scratch=lake.from_scratch)


def fill(past: Lake, lake: Lake, day: date) -> None:
    """Writes the log and the catalogue as they were at the beginning of a day to a warehouse of their own.

    A table that has a version of that time is read in it, and so without events that came late. Otherwise the newest
    version is read. Of either, only events before the day count, and items that were known or taken by then. What was
    written from the same versions before stays, so that a night that was killed goes on.

    Args:
        past: result of :func:`lake_of`, which this run holds.
        lake: Spark and the warehouse of today.
        day: the first day that the night must not know.
    """
    versions = {name: _version_of(lake, name, day) for name in (INTERACTIONS.name, ITEMS.name)}
    note, source = f"{past.warehouse.root}/{SOURCE}", json.dumps(versions, sort_keys=True)
    tables_there = all(past.warehouse.exists(name) for name in versions)
    if tables_there and past.files.exists(note) and past.files.read_text(note) == source:
        return
    events = _events_before(lake, versions[INTERACTIONS.name], day)
    items_then = lake.warehouse.read(ITEMS.name, versions[ITEMS.name])
    taken = events.select("item_id").distinct().withColumn("_taken", F.lit(True))
    known = F.col("first_seen") < F.lit(datetime.combine(day, time(), UTC))
    items = items_then.join(taken, "item_id", "left").where(known | F.col("_taken"))
    past.warehouse.overwrite(INTERACTIONS, events)
    past.warehouse.overwrite(ITEMS, items.select(*ITEMS.names))
    past.files.write_text(note, source)


def assert_events_before(lake: Lake, day: date) -> None:
    """Checks that there is something to make a night of, before anything is written.

    Args:
        lake: Spark and the warehouse of today.
        day: the first day that the night must not know.

    Raises:
        UserError: there are no events before the day.
    """
    if _events_before(lake, _version_of(lake, INTERACTIONS.name, day), day).isEmpty():
        raise UserError(f"--as-of {day}: table interactions has no events before this day")


def _events_before(lake: Lake, version: int | None, day: date) -> DataFrame:
    return lake.warehouse.read(INTERACTIONS.name, version).where(F.col("event_date") < F.lit(day))


def _version_of(lake: Lake, table: str, day: date) -> int | None:
    """A table's last version before a day, or else its newest version; None if the table does not exist."""
    if not lake.warehouse.exists(table):
        return None
    begins = int(datetime.combine(day, time(), UTC).timestamp() * 1_000_000)
    versions = [commit.version for commit in history(lake.warehouse, table, 1) if commit.at < begins]
    there = [version for version in versions[-1:] if has_version(lake.warehouse, table, version)]
    return there[0] if there else lake.warehouse.version(table)
