"""Swing written as Spark SQL joins, for comparison with the kernel."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.sections import MineSettings


def held_items(users: DataFrame) -> DataFrame:
    """One row per user and item: user, n (items of the user), item, is_trigger."""
    held = users.select("user", F.size("items").alias("n"), F.explode("items").alias("code"))
    item = F.when(F.col("code") < 0, F.bitwise_not("code")).otherwise(F.col("code"))
    return held.select("user", "n", item.alias("item"), (F.col("code") >= 0).alias("is_trigger"))


def sql_swing(held: DataFrame, mine: MineSettings) -> DataFrame:
    """Swing scores by SQL: joins user pairs by item and sums over each pair's overlap; trigger, target, sql_score."""
    held.createOrReplaceTempView("held")
    return held.sparkSession.sql(f"""
        WITH shared AS (
          SELECT a.user AS u, b.user AS v, a.n AS n_u, b.n AS n_v, a.item, a.is_trigger AND b.is_trigger AS scored
          FROM held a JOIN held b ON a.item = b.item AND a.user < b.user
        ), overlaps AS (
          SELECT pow(n_u + {mine.alpha1}, -{mine.beta}) * pow(n_v + {mine.alpha1}, -{mine.beta})
                   / ({mine.alpha2} + count(*)) AS share,
                 collect_list(item) AS items, collect_list(CASE WHEN scored THEN item END) AS triggers
          FROM shared GROUP BY u, v, n_u, n_v HAVING count(*) > 1
        ), scores AS (
          SELECT trigger, target, sum(share) AS sql_score
          FROM (SELECT share, items, explode(triggers) AS trigger FROM overlaps)
          LATERAL VIEW explode(items) AS target
          WHERE trigger <> target GROUP BY trigger, target
        )
        SELECT trigger, target, sql_score
        FROM (SELECT *, row_number() OVER (PARTITION BY trigger ORDER BY sql_score DESC) AS place FROM scores)
        WHERE place <= {mine.top_k}
    """)
