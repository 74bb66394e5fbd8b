"""Does what ingest would do with two inputs, and counts instead of writing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.intake.inputs import read_inputs, shape_inputs
from jobs.intake.interactions import fold_duplicates
from jobs.intake.items import fold_items
from jobs.intake.matching import ids_with_points, matched
from jobs.intake.measures import Counts, measure_interactions, measure_rows
from jobs.intake.summary import intake_text
from jobs.start.choices import Choice
from schemas.errors import UserError
from schemas.settings import Settings


@dataclass(frozen=True)
class Trial:
    """What ingest would take.

    Attributes:
        numbers: what it would measure, by ``name`` or ``name/slice``.
        days: the days of the log, each with its number of events.
        contents: distinct contents of the catalogue.
        users: users of the log, roughly.
        median_events: events of the median user, roughly.
        characters: mean length of the texts of a content.
    """

    numbers: Mapping[str, float]
    days: Sequence[tuple[date, int]]
    contents: int
    users: int
    median_events: float
    characters: float

    @property
    def actions(self) -> dict[str, int]:
        """Events by action, the most frequent first."""
        start = "ingest.events_by_action/"
        found = {name.removeprefix(start): int(n) for name, n in self.numbers.items() if name.startswith(start)}
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))

    @property
    def events(self) -> int:
        """Events that would be taken."""
        return int(self.numbers["ingest.interactions"])


def tried(spark: SparkSession, settings: Settings, reading: Sequence[Choice]) -> Trial:
    """Does what ingest would do with some settings changed.

    Args:
        spark: the session.
        settings: all settings.
        reading: those that are changed.

    Raises:
        UserError: an input cannot be read, or ingest would take nothing.
    """
    values: dict[str, Any] = settings.model_dump()
    for choice in reading:
        *sections, key = choice.setting.split(".")
        inner = values
        for section in sections:
            inner = inner[section]
        inner[key] = choice.value
    trial = trial_of(spark, Settings.model_validate(values))
    if not trial.events:
        raise UserError(f"ingest would take no event: {'; '.join(intake_text(trial.numbers).splitlines())}")
    return trial


def trial_of(spark: SparkSession, settings: Settings) -> Trial:
    """Reads both inputs as ingest does, and counts.

    Executor memory: that of Spark's aggregations. Driver memory: one row per reason, action and day.

    Args:
        spark: the session.
        settings: all settings, with the names of the columns.

    Raises:
        UserError: an input cannot be read.
    """
    numbers: dict[str, float] = {}

    def measure(name: str, value: float, slice: str = "all") -> None:
        numbers[name if slice == "all" else f"{name}/{slice}"] = float(value)

    log, catalogue = read_inputs(spark, settings.ingest)
    events, items = (rows.persist() for rows in shape_inputs(log, catalogue, settings, datetime.now(UTC)))
    with log.reading(), catalogue.reading():
        interactions, titled = matched(events, items, None, ids_with_points(events, items))
        counts, item_counts = _by_reason(interactions), _by_reason(titled)
        for read, found in ((log, counts), (catalogue, item_counts)):
            if None not in found:
                read.refuse_undecodable()
        folded = fold_duplicates(interactions.where("complaint IS NULL")).persist()
        accepted = fold_items(titled.where("complaint IS NULL")).persist()
        measure_rows(measure, counts, item_counts)
        measure_interactions(measure, interactions, folded, counts)
        measure("ingest.without_action", interactions.where("complaint IS NULL AND without_action").count())
        measure("ingest.items_folded", item_counts.get(None, 0) - accepted.count())
        days = folded.groupBy("event_date").count().orderBy("event_date").collect()
        text = F.concat_ws(" ", "title", "category", "description", F.map_values("attributes"))
        contents = accepted.agg(F.count_distinct("content_hash"), F.avg(F.length(text))).collect()[0]
        users = folded.groupBy("user_id").count().agg(F.count("*"), F.percentile_approx("count", 0.5)).collect()[0]
    for frame in (events, items, folded, accepted):
        frame.unpersist()
    return Trial(
        numbers=numbers,
        days=[(row[0], row[1]) for row in days],
        contents=contents[0],
        users=users[0],
        median_events=float(users[1] or 0),
        characters=float(contents[1] or 0),
    )


def _by_reason(rows: DataFrame) -> Counts:
    return {row[0]: row[1] for row in rows.groupBy("complaint").count().collect()}
