"""Reads users' candidates, splits them into parts with the users' events, and ranks them."""

from __future__ import annotations

from functools import reduce

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lake.inputs.complaints import missing_id, unusable_row
from lake.inputs.files import Place
from lake.inputs.part import Part
from lake.inputs.reading import Source, read_input
from lake.inputs.values import as_id, as_time
from schemas.errors import UserError
from schemas.ranking_sections import ScoreSettings

IDS = ("user_id", "item_id")

TIMES = ("as_of", "event_time")
"""Columns that may hold the time of a candidate; the first that exists is used."""


def read_candidates(spark: SparkSession, settings: ScoreSettings) -> DataFrame:
    """Reads the candidates.

    Args:
        spark: the session.
        settings: path, format and renames of the input.

    Returns:
        user_id, item_id, as_of (null if the row gives no time), and complaint (why the row is rejected, or null).

    Raises:
        UserError: no input is given, it cannot be read, or a column is missing.
    """
    if not settings.candidates:
        raise UserError("--candidates PATH is missing; give it, or set score.candidates")
    place = Place(
        option="--candidates",
        path=settings.candidates,
        form=settings.files.format,
        form_option="--format",
        settings=settings.files,
        section="score.files",
    )
    source = Source(place=place, rename=settings.rename, needed=IDS, known=(*IDS, *TIMES), ids=IDS, times=TIMES)
    given = read_input(spark, source)
    for theirs, ours in settings.rename.items():
        if theirs not in given.columns:
            raise UserError(f"--rename {theirs}={ours}: the input {settings.candidates} has no column {theirs}")
    return reduce(DataFrame.unionByName, (_shape(part, settings.files.time_format) for part in given.parts))


def _shape(part: Part, time_format: str) -> DataFrame:
    times = [field for name in TIMES if (field := part.find(name)) is not None]
    times.sort(key=lambda field: not field.seen)  # a key that no row is known to have hides no other
    given = times[0].column if times else F.lit(None)
    ids = (part.needed(name) for name in IDS)
    shaped = part.rows.select(
        *(as_id(field.column, field.kind).alias(field.name) for field in ids),
        (as_time(given, times[0].kind, time_format) if times else given.cast("timestamp")).alias("as_of"),
        given.isNotNull().alias("_given"),
        unusable_row(part, IDS).alias("_row"),
    )
    unreadable = F.when(F.col("_given") & F.col("as_of").isNull(), "unreadable_time")
    complaint = F.coalesce("_row", missing_id(IDS), unreadable)
    return shaped.select(*IDS, "as_of", complaint.alias("complaint"))


def with_events(candidates: DataFrame, events: DataFrame, most: int) -> DataFrame:
    """Candidates and the events of their users in one DataFrame; many candidates of a user are split into parts.

    Args:
        candidates: user_id, item_id, item_row, time, and further columns, which are null for events.
        events: result of :func:`jobs.examples.events.shape_events`; events of users without candidates are dropped.
        most: most candidates per part.

    Returns:
        The columns of the candidates, ``labels`` and ``part``; each part of a user holds all of the user's events.
    """
    size = candidates.groupBy("user_id").agg(F.count("*").alias("size"))
    parts = size.select("user_id", F.ceil(F.col("size") / most).cast("int").alias("parts"))
    own_part = F.pmod(F.xxhash64("item_id", "time"), F.col("parts")).cast("int")
    asked = candidates.join(parts, "user_id", "inner").withColumn("part", own_part).drop("parts")
    every_part = F.explode(F.sequence(F.lit(0), F.col("parts") - 1)).alias("part")
    past = events.join(parts, "user_id", "inner").select("user_id", every_part, "item_row", "time", "labels")
    return asked.unionByName(past, allowMissingColumns=True)


def ranked(scores: DataFrame, first: str) -> DataFrame:
    """Adds the rank among the user's candidates of the same time, by a score; item_id breaks ties."""
    of_user = Window.partitionBy("user_id", "as_of").orderBy(F.desc(first), "item_id")
    return scores.withColumn("rank", F.row_number().over(of_user))
