"""The global time split: train, validation and test periods on whole UTC days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from schemas.errors import UserError
from schemas.sections import SplitSettings


@dataclass(frozen=True)
class Periods:
    """The days on which the log and its periods begin.

    Attributes:
        first_day: first day of the log.
        fit_until: first day after the fit period, the part of the log that pairs and encoders are fitted on: the train
            period or, with ``split.fit_share``, its first part.
        valid_from: first day of the validation period.
        test_from: first day of the test period.
    """

    first_day: date
    fit_until: date
    valid_from: date
    test_from: date

    @property
    def in_train(self) -> Column:
        """Condition on ``interactions``: the event lies in the train period."""
        return F.col("event_date") < F.lit(self.valid_from)

    @property
    def in_fit(self) -> Column:
        """Condition on ``interactions``: the event lies in the fit period."""
        return F.col("event_date") < F.lit(self.fit_until)

    @property
    def rank_from(self) -> date | None:
        """First day of the ranker's train examples; None if they begin with the train period."""
        return None if self.fit_until == self.valid_from else self.fit_until

    def split_of(self, day: Column) -> Column:
        """The split of a day: train, valid or test."""
        from_valid = F.when(day < F.lit(self.test_from), "valid").otherwise("test")
        return F.when(day < F.lit(self.valid_from), "train").otherwise(from_valid)

    @staticmethod
    def microseconds(day: date) -> int:
        """Start of a UTC day, in microseconds since 1970."""
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1_000_000


def split_periods(interactions: DataFrame, settings: SplitSettings) -> Periods:
    """Finds the days on which the periods begin, from the settings' shares of events.

    Driver memory: one row per day.

    Args:
        interactions: the log.
        settings: the shares.

    Raises:
        UserError: the log has too few days for the periods.
    """
    counts = interactions.groupBy("event_date").count().collect()
    days: list[tuple[date, int]] = sorted((row[0], row[1]) for row in counts)
    if len(days) < 3:
        raise UserError(
            f"table interactions has events on {len(days)} days; train, validation and test period need at least 3 days"
        )
    total = sum(count for _, count in days)
    test = _last_days(days, total * settings.test_share)
    valid = _last_days(days[:-test], total * settings.valid_share)
    if test + valid >= len(days):
        raise UserError("split.valid_share and split.test_share leave no day for training; lower them")
    valid_from, test_from = days[-test - valid][0], days[-test][0]
    if not settings.fit_share:
        return Periods(days[0][0], valid_from, valid_from, test_from)
    train = days[: -test - valid]
    ranked = _last_days(train, sum(count for _, count in train) - total * settings.fit_share)
    if ranked >= len(train):
        raise UserError(
            "split.fit_share leaves no day for pairs or no day for train examples; change it, or set it to 0"
        )
    return Periods(days[0][0], train[-ranked][0], valid_from, test_from)


def _last_days(days: list[tuple[date, int]], events: float) -> int:
    """Number of last days that together hold about the given number of events; at least 1."""
    best, seen = 1, 0
    for n, (_, count) in enumerate(reversed(days), 1):
        seen += count
        if seen - count / 2 <= events:
            best = n
    return min(best, max(1, len(days) - 1))
