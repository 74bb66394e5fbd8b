"""Reads users' candidates, splits them into parts with the users' events, and ranks them."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from lake.inputs import as_id, as_time, read_input, rename_columns, require_columns
from schemas.errors import UserError
from schemas.ranking_sections import ScoreSettings

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
    path = settings.candidates
    if not path:
        raise UserError("--candidates PATH is missing; give it, or set score.candidates")
    rows = read_input(spark, path, "--candidates", settings.format)
    for theirs, ours in settings.rename.items():
        if theirs not in rows.columns:
            raise UserError(f"--rename {theirs}={ours}: the input {path} has no column {theirs}")
    rows = rename_columns(rows, settings.rename)
    require_columns(rows, ["user_id", "item_id"], "--candidates", path)
    types = {field.name: field.dataType for field in rows.schema.fields}
    named = next((name for name in TIMES if name in types), None)
    given = F.col(named) if named else F.lit(None).cast("timestamp")
    user, item = (as_id(F.col(name), types[name]) for name in ("user_id", "item_id"))
    time = as_time(given, types[named]) if named else given
    complaint = (
        F.when(user.isNull(), "null_user_id")
        .when(item.isNull(), "null_item_id")
        .when(given.isNotNull() & time.isNull(), "unreadable_time")
    )
    return rows.select(
        user.alias("user_id"), item.alias("item_id"), time.alias("as_of"), complaint.alias("complaint")
    )  # fmt: skip


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
