"""Items and events as numbers, for the sources of retrieval."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lake.indexing import with_row_number
from schemas.ranking_sections import RankingSettings


def numbered_items(items: DataFrame) -> DataFrame:
    """The catalogue's items, numbered in the order of their ids, each with hashes of its content, title and category.

    Args:
        items: table ``items``.

    Returns:
        item_id, item INT, content LONG, title LONG, category LONG; persisted.
    """
    # An item without a title or a category has one of its own, as items without one are of no common kind.
    own = {"content": "content_hash", "title": "title", "category": "category"}
    hashes = (F.xxhash64(F.coalesce(column, "item_id")).alias(name) for name, column in own.items())
    numbered = with_row_number(items.select("item_id", *hashes), "item", "item_id")
    return numbered.withColumn("item", F.col("item").cast("int"))


def numbered_events(
    interactions: DataFrame, items: DataFrame, ranking: RankingSettings, *, before: int, most: int
) -> DataFrame:
    """Each user's latest positive events before a moment, on items of the catalogue.

    Executor memory: Spark's window over the events of one user, which spills.

    Args:
        interactions: the log.
        items: result of :func:`numbered_items`.
        ranking: positive actions, which are numbered in the order of their names.
        before: seconds since 1970; events at or after it are left out.
        most: events of a user.

    Returns:
        user_id, user LONG (hash of the id), item INT, time LONG (seconds since 1970), action INT; in no order.
    """
    actions = sorted(ranking.positive_actions)
    number = F.array_position(F.array(*map(F.lit, actions)), F.col("action")) - 1
    seconds = F.floor(F.unix_micros("event_time") / 1_000_000)
    newest = Window.partitionBy("user_id").orderBy(F.desc("time"), "item", "action")
    return (
        interactions.where(F.col("action").isin(actions))
        .select("user_id", "item_id", seconds.alias("time"), number.cast("int").alias("action"))
        .where(F.col("time") < before)
        .join(items.select("item_id", "item"), "item_id", "inner")
        .withColumn("_place", F.row_number().over(newest))
        .where(F.col("_place") <= most)
        .select("user_id", F.xxhash64("user_id").alias("user"), "item", "time", "action")
    )


def of_reference_users(events: DataFrame, users: int, most: int) -> DataFrame:
    """The events of the users with the smallest hashes of their ids, about ``most`` users, or all if there are fewer.

    Two users with the same hash count as one.

    Args:
        events: result of :func:`numbered_events`.
        users: number of their users.
        most: number of users.
    """
    if users <= most:
        return events
    place = F.shiftrightunsigned(F.xxhash64("user"), 11) / F.lit(float(2**53))
    return events.where(place < F.lit(most / users))
