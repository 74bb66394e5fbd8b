"""Swing as Spark SQL joins, the way it is written without a kernel."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.jobs.pairs.histories import capped_histories, item_codes, item_keys, positives_of
from qarm.jobs.pairs.item2item import user_rows
from qarm.lake.job import Lake
from qarm.lake.periods import split_periods


def sql_swing(lake: Lake) -> DataFrame:
    """Swing by joins: user pairs by item, their overlap, each pair of items in it."""
    mine, spark = lake.settings.mine, lake.spark
    interactions = lake.warehouse.read("interactions")
    periods = split_periods(interactions, lake.settings.split)
    histories = capped_histories(positives_of(interactions, periods, mine, lake.settings.ranking), mine).persist()
    codes = item_codes(histories, item_keys(lake.warehouse.read("items")))
    users = user_rows(histories, codes, codes.count(), mine, periods.valid_from)
    held = users.select("user", F.size("items").alias("n"), F.explode("items").alias("code"))
    held.withColumns(
        {
            "item": F.when(F.col("code") < 0, F.bitwise_not("code")).otherwise(F.col("code")),
            "is_trigger": F.expr("code >= 0"),
        }
    ).persist().createOrReplaceTempView("held")
    codes.createOrReplaceTempView("codes")
    return spark.sql(f"""
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
        ), ranked AS (
          SELECT *, row_number() OVER (PARTITION BY trigger ORDER BY sql_score DESC) AS place FROM scores
        )
        SELECT a.item_id AS trigger_item_id, b.item_id AS target_item_id, sql_score
        FROM ranked JOIN codes a ON a.item = trigger JOIN codes b ON b.item = target WHERE place <= {mine.top_k}
    """)
