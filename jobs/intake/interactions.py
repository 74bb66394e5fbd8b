"""The rows of a log as interactions: ids, times, actions and weights, and why a row is rejected."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lake.inputs.complaints import missing_id, unusable_row
from lake.inputs.part import Field, Part
from lake.inputs.values import as_id, as_text, as_time, as_weight
from schemas.ranking_sections import RankingSettings
from schemas.sections import IngestSettings
from schemas.tables import INTERACTIONS

IDS = ("user_id", "item_id")
TIMES = ("event_time",)
NEEDED = (*IDS, *TIMES)

READ = (*NEEDED, "action", "label", "weight")
"""All columns of a log that are read."""


def shape_interactions(part: Part, ingest: IngestSettings, ranking: RankingSettings, latest: datetime) -> DataFrame:
    """Gives the rows of a log the columns of ``interactions``, and says which of them are rejected.

    A column ``label`` is turned into ``action``: a number above ``ingest.label_above`` into the first positive action
    of the first task, another number into an impression. It counts where a row has no action.

    Args:
        part: rows of the log, with our names.
        ingest: default action, least label, earliest time, and pattern of times.
        ranking: the actions of the tasks.
        latest: latest time that is accepted.

    Returns:
        The columns of ``interactions``; ``row``, the input row as JSON; ``complaint``, why the row is
        rejected, or null; and ``without_action``, whether the default action was taken.
    """
    user, item, time = (part.needed(name) for name in NEEDED)
    action = _text(part.find("action"))
    label = part.find("label")
    has_label = F.lit(False) if label is None else F.lit(True) if label.seen else label.column.isNotNull()
    labelled = _from_label(label, ingest.label_above, ranking)
    weight = part.find("weight")
    number = as_weight(weight.column, weight.kind) if weight else F.lit(None).cast("double")
    moment = as_time(time.column, time.kind, ingest.interactions_files.time_format)
    shaped = part.rows.select(
        as_id(user.column, user.kind).alias("user_id"),
        as_id(item.column, item.kind).alias("item_id"),
        moment.alias("event_time"),
        F.coalesce(action, F.when(has_label, labelled).otherwise(ingest.default_action)).alias("action"),
        F.coalesce(number, F.lit(1.0)).alias("weight"),
        F.to_date(moment).alias("event_date"),
        F.coalesce(part.malformed, part.row).alias("row"),
        (action.isNull() & ~has_label).alias("without_action"),
        unusable_row(part, IDS).alias("_row"),
        F.when(_text(weight).isNotNull() & number.isNull(), "unreadable_weight")
        .when(F.isnan(number) | (number < 0) | (number == float("inf")), "impossible_weight")
        .alias("_weight"),
    )
    complaint = F.coalesce(
        "_row",
        missing_id(IDS),
        F.when(F.col("event_time").isNull(), "unreadable_time"),
        F.when(F.col("action").isNull(), "unreadable_label"),
        F.when(~F.col("event_time").between(F.lit(ingest.earliest), F.lit(latest)), "impossible_time"),
        "_weight",
    )
    return shaped.withColumn("complaint", complaint).drop("_row", "_weight")


def _text(field: Field | None) -> Column:
    return F.lit(None).cast("string") if field is None else as_text(field.column, field.kind)


def _from_label(field: Field | None, above: float, ranking: RankingSettings) -> Column:
    if field is None:
        return F.lit(None).cast("string")
    label = F.lower(as_text(field.column, field.kind))
    number = label.try_cast("double")
    positive, impression = F.lit(next(iter(ranking.tasks.values()))[0]), F.lit(ranking.impression)
    return F.when((label == "true") | (number > above), positive).when(
        (label == "false") | (number <= above), impression
    )


def fold_duplicates(interactions: DataFrame) -> DataFrame:
    """One row per key, with the largest weight, so that a log that is delivered twice counts once."""
    return interactions.groupBy(*INTERACTIONS.key).agg(
        F.max("weight").alias("weight"), F.first("event_date").alias("event_date")
    )
