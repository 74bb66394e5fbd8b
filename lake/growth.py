"""How far the log grew since something was made from it, and whether that is enough to make it anew."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from lake.history import has_version
from lake.warehouse import Warehouse
from schemas.sections import Trigger


@dataclass(frozen=True)
class LogSize:
    """Size of the log.

    Attributes:
        events: number of events.
        last_day: last UTC day with an event; None for an empty log.
    """

    events: int
    last_day: date | None


def size_of(interactions: DataFrame) -> LogSize:
    """The size of a log; Delta knows it without reading the events."""
    events, last_day = interactions.agg(F.count("*"), F.max("event_date")).collect()[0]
    return LogSize(events, last_day)


@dataclass(frozen=True)
class Growth:
    """What came to the log since something was made.

    Attributes:
        new_share: share of today's events that are new.
        days: days between the last days of the log then and now.
    """

    new_share: float
    days: int

    @classmethod
    def between(cls, then: LogSize, now: LogSize) -> Growth:
        """The growth from one size of the log to another."""
        share = max(0, now.events - then.events) / now.events if now.events else 0.0
        known = then.last_day is not None and now.last_day is not None
        return cls(share, (now.last_day - then.last_day).days if known else 0)  # type: ignore[operator]

    def is_due(self, trigger: Trigger) -> bool:
        """Whether what was made is due again."""
        return self.new_share >= trigger.new_share or self.days >= trigger.days

    def words(self, trigger: Trigger) -> str:
        """The growth beside the trigger's limits."""
        return (
            f"{self.new_share:.1%} of the events and {self.days} days are new; due at {trigger.new_share:.0%} or"
            f" {trigger.days:g} days"
        )


def grown_since(warehouse: Warehouse, table: str, then: str) -> Growth | None:
    """What came to the log since a version of its table; None if that version is not known or not kept.

    Args:
        warehouse: the tables.
        table: name of the log.
        then: the version, as the record of a run holds it.
    """
    if not then.isdigit() or not has_version(warehouse, table, int(then)):
        return None
    before, now = (size_of(warehouse.read(table, version)) for version in (int(then), None))
    return Growth.between(before, now)
