"""What the examples of all nights stand on: blocks of days, windows of negatives, and the split by date."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.examples.negatives import window_days
from lake.periods import Periods

MOST_BLOCKS = 64
"""Most blocks of days that the validation and the test period of a first night are cut into."""


@dataclass(frozen=True)
class Frame:
    """What the examples of all nights stand on. It is kept with the search index, and a later night extends it.

    Attributes:
        periods: the periods of tonight, each of whole blocks.
        blocks: first days of the blocks of days that ``ranker_examples`` is partitioned by, ascending. The train period
            of the first night is one block; each later night adds one.
        windows: first days of the windows within which negatives are sampled, ascending.
        origin: run that built the first of the examples.
        shares: shares of the train, the validation and the test examples that are kept; empty where an earlier qarm
            built the first examples.
        kept: share of the examples of each block that was kept when the block was built; empty as ``shares`` is.
    """

    periods: Periods
    blocks: tuple[date, ...]
    windows: tuple[date, ...]
    origin: str
    shares: tuple[float, ...] = ()
    kept: tuple[float, ...] = ()

    def as_card(self) -> dict[str, Any]:
        """The frame as JSON."""
        periods = {name: day.isoformat() for name, day in vars(self.periods).items()}
        days = {name: [day.isoformat() for day in getattr(self, name)] for name in ("blocks", "windows")}
        return {"periods": periods, **days, "origin": self.origin, "shares": [*self.shares], "kept": [*self.kept]}

    @classmethod
    def from_card(cls, card: Mapping[str, Any]) -> Frame:
        """The frame that :meth:`as_card` gave."""
        periods = Periods(*(date.fromisoformat(card["periods"][field.name]) for field in fields(Periods)))
        blocks, windows = (tuple(map(date.fromisoformat, card[name])) for name in ("blocks", "windows"))
        shares, kept = (tuple(card.get(name, ())) for name in ("shares", "kept"))
        return cls(periods, blocks, windows, card["origin"], shares, kept)

    def share_to_read(self, block: date) -> float:
        """The share of a block's rows that is read for the split that the block is in, so that all days count alike.

        A block of days is built in the test period, and comes to the train period as the nights go by.

        Args:
            block: first day of the block.
        """
        known = dict(zip(self.blocks, self.kept, strict=False))
        if not known.get(block):
            return 1.0
        return min(1.0, self.shares[_split(block, self.periods)] / known[block])

    def blocks_of(self, split: str) -> list[date]:
        """The blocks of days of a split: train, valid or test."""
        valid_from, test_from = self.periods.valid_from, self.periods.test_from
        begins = {"train": date.min, "valid": valid_from, "test": test_from}
        ends = {"train": valid_from, "valid": test_from, "test": date.max}
        return [block for block in self.blocks if begins[split] <= block < ends[split]]

    def starts(self, days: Sequence[date]) -> tuple[int, ...]:
        """First microseconds of days."""
        return tuple(Periods.microseconds(day) for day in days)


def first_frame(periods: Periods, last_day: date, origin: str, shares: Sequence[float]) -> Frame:
    """The frame of a first night, or of one that builds all examples again.

    Args:
        periods: periods of the log.
        last_day: last day of the log.
        origin: id of the run.
        shares: shares of the train, the validation and the test examples that are kept.
    """
    days = (last_day - periods.valid_from).days + 1
    length = -(-days // MOST_BLOCKS)
    later = {periods.valid_from + timedelta(days=n) for n in range(0, days, length)} | {periods.test_from}
    first = periods.rank_from or periods.first_day
    blocks = tuple(sorted({first, *later}))
    kept = tuple(shares[_split(block, periods)] for block in blocks)
    return Frame(periods, blocks, tuple(window_days(periods)), origin, tuple(shares), kept)


def _split(block: date, periods: Periods) -> int:
    """0 for a block of the train period, 1 of the validation, 2 of the test period."""
    return (block >= periods.valid_from) + (block >= periods.test_from)


def next_frame(before: Frame, periods: Periods, since: date, last_day: date) -> Frame:
    """The frame of a later night: new days are a block and a window, and the periods move on by whole blocks.

    No period begins earlier than on the night before, so that an example never leaves the train split.

    Args:
        before: the frame of the night before.
        periods: periods of tonight's log.
        since: last day of the log of the night before.
        last_day: last day of tonight's log.
    """
    new = (since + timedelta(days=1),) if last_day > since else ()
    blocks = (*before.blocks, *new)

    def begin(day: date, no_earlier: date) -> date:
        earlier = [block for block in blocks if block <= day]
        return max(earlier[-1], no_earlier) if earlier else no_earlier

    old = before.periods
    test_from = begin(periods.test_from, old.test_from)
    valid_from = begin(min(periods.valid_from, test_from - timedelta(days=1)), old.valid_from)
    moved = dataclasses.replace(old, valid_from=valid_from, test_from=test_from)
    if old.rank_from is None:
        moved = dataclasses.replace(moved, fit_until=valid_from)
    kept = (*before.kept, *[before.shares[-1]] * len(new)) if before.kept else ()
    return replace(before, periods=moved, blocks=blocks, windows=(*before.windows, *new), kept=kept)


def with_split(examples: DataFrame, periods: Periods) -> DataFrame:
    """Adds ``split``: train, valid or test.

    Args:
        examples: ``ranker_examples``.
        periods: periods of the night, see :class:`Frame`.
    """
    return examples.withColumn("split", periods.split_of(F.col("days_from")))
