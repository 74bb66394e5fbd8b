"""Generates a log and items of any size with planted clusters on Spark; a seed makes them repeatable.

    python -m benchmarks.generate_log --events 1000000 --users 20000 --items 20000 --out FOLDER

A user mostly takes items of a few home clusters, which may change over time, and sometimes any item; both are sampled
by popularity (Zipf). Titles contain the name of the cluster; beyond 1,920 clusters, names repeat. Every random number
is a hash of the seed, the event's number and a label, so the result does not depend on partitions or cores.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lake.session import start_session
from schemas.settings import load_settings

ADJECTIVES = """
red green blue white black golden silver wooden glass iron paper cotton winter summer mountain river garden kitchen
travel office night morning spicy sweet sour salted smoked fresh frozen dried organic vintage
""".split()  # noqa: SIM905
NOUNS = """
tea coffee bread cheese soup pasta rice apple berry nut fish chicken candle lamp chair table shelf carpet towel blanket
shirt jacket boot hat glove scarf bag watch phone cable speaker camera bike tent rope knife pan bottle brush soap cream
puzzle ball doll book pencil guitar drum rose tulip hose rake paint drill nail leash kibble aquarium filter battery
""".split()  # noqa: SIM905
FORMS = """
classic deluxe mini giant light extra double single basic premium daily family party pocket pro duo
""".split()  # noqa: SIM905
START = 1_735_689_600  # 1 January 2025, UTC


@dataclass(frozen=True)
class LogShape:
    """Size and shape of a generated log.

    Attributes:
        events: number of events.
        users: number of users; user k is about ``k^(-1/3)`` times as active as the first.
        items: number of items; item i belongs to cluster ``i mod clusters``, and lower numbers are more popular.
        clusters: number of planted clusters.
        zipf: exponent of an item's popularity, within its cluster and among all items.
        homes: number of home clusters of a user at a time.
        stray: share of events on items sampled from all clusters.
        days: length of the log in days.
        drift: share of a user's home clusters that change during the log.
        hit_share: share of users that additionally take item 0 once.
        seed: random seed.
    """

    events: int = 1_000_000
    users: int = 20_000
    items: int = 20_000
    clusters: int = 200
    zipf: float = 1.0
    homes: int = 3
    stray: float = 0.1
    days: int = 60
    drift: float = 0.3
    hit_share: float = 0.0
    seed: int = 17

    def __post_init__(self) -> None:
        if self.items % self.clusters:
            raise ValueError(f"items must be a multiple of clusters, {self.clusters}, not {self.items}")


def generate_log(spark: SparkSession, shape: LogShape) -> DataFrame:
    """Generates the log.

    Returns:
        user_id STRING, item_id STRING, event_time TIMESTAMP, action STRING.
    """
    draw = _draws(shape.seed)
    per_cluster = shape.items // shape.clusters
    events = spark.range(shape.events).select(
        F.col("id"),
        F.floor(F.lit(shape.users) * F.pow(draw("user"), 1.5)).alias("user"),
        F.floor(draw("second") * F.lit(shape.days * 86_400)).alias("second"),
        F.floor(draw("home") * F.lit(shape.homes)).alias("home"),
    )
    moves = F.lit(shape.drift) > draw("moves", "user", "home")
    moved = moves & (F.col("second") / F.lit(shape.days * 86_400.0) > draw("move", "user", "home"))
    cluster = F.floor(draw("cluster", "user", "home", moved.cast("int")) * F.lit(shape.clusters))
    in_home = _zipf(draw("rank"), per_cluster, shape.zipf) * F.lit(shape.clusters) + cluster
    stray = _zipf(draw("rank"), shape.items, shape.zipf)
    log = events.withColumn("item", F.when(draw("stray") < shape.stray, stray).otherwise(in_home))
    if shape.hit_share:
        users = spark.range(shape.users).withColumnRenamed("id", "user").withColumn("id", -F.col("user") - 1)
        hits = users.where(draw("hit") < shape.hit_share).select(
            "id",
            "user",
            F.floor(draw("second") * F.lit(shape.days * 86_400)).alias("second"),
            F.lit(0).cast("long").alias("item"),
        )
        log = log.select("id", "user", "second", "item").unionByName(hits)
    return log.select(
        F.format_string("u%08d", "user").alias("user_id"),
        F.format_string("i%08d", "item").alias("item_id"),
        F.timestamp_seconds(F.col("second") + START).alias("event_time"),
        F.lit("click").alias("action"),
    )


def generate_items(spark: SparkSession, shape: LogShape) -> DataFrame:
    """Generates the items; titles and categories follow the clusters.

    Returns:
        item_id STRING, title STRING, category STRING, brand STRING.
    """
    cluster, rank = F.col("id") % shape.clusters, F.floor(F.col("id") / shape.clusters)
    noun = _word(NOUNS, cluster)
    return spark.range(shape.items).select(
        F.format_string("i%08d", "id").alias("item_id"),
        F.concat_ws(
            " ", _word(ADJECTIVES, F.floor(cluster / len(NOUNS))), noun, _word(FORMS, rank), rank.cast("string")
        ).alias("title"),
        noun.alias("category"),
        F.concat(F.lit("brand "), (rank % 7).cast("string")).alias("brand"),
    )


def cluster_of(item_id: Column, shape: LogShape) -> Column:
    """The planted cluster of an item."""
    return F.substring(item_id, 2, 8).cast("long") % shape.clusters


def _draws(seed: int):  # noqa: ANN202
    """A function that gives uniform numbers in [0, 1) by a label and columns, by default the event's number."""

    def draw(what: str, *by: str | Column) -> Column:
        hashed = F.xxhash64(F.lit(seed), F.lit(what), *(by or ("id",)))
        return F.shiftrightunsigned(hashed, 11) / F.lit(float(2**53))

    return draw


def _zipf(uniform: Column, n: int, exponent: float) -> Column:
    """Ranks 0 to n - 1 with probability about ``(rank + 1)^-exponent``, by inverting the continuous distribution."""
    if exponent == 1:
        rank = F.pow(F.lit(n + 1.0), uniform)
    else:
        power = 1 - exponent
        rank = F.pow(1 + uniform * F.lit((n + 1.0) ** power - 1), F.lit(1 / power))
    return F.least(F.floor(rank) - 1, F.lit(n - 1)).cast("long")


def _word(words: list[str], number: Column) -> Column:
    return F.element_at(F.lit(words), (number % len(words)).cast("int") + 1)


def main() -> None:
    """Writes ``interactions.parquet`` and ``items.parquet`` as inputs of ``ingest``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    for field in fields(LogShape):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default, help=f"default {field.default}")
    parser.add_argument("--out", required=True, help="folder for the two files")
    options = vars(parser.parse_args())
    out = options.pop("out")
    shape = LogShape(**options)
    spark = start_session("generate_log", load_settings().spark)
    generate_log(spark, shape).write.mode("overwrite").parquet(f"{out}/interactions.parquet")
    generate_items(spark, shape).write.mode("overwrite").parquet(f"{out}/items.parquet")


if __name__ == "__main__":
    main()
