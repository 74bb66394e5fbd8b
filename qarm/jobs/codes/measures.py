"""How good the codes are, and whether the codebook still fits what it is given."""

from __future__ import annotations

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from qarm.lake.artifacts import Artifact
from qarm.lake.job import Run
from qarm.models.quantize.codebook import Codebook
from qarm.models.quantize.quality import collision_numbers, entropy, hit_rates
from qarm.udfs.arrays import column_matrix


def measure_codes(run: Run, assigned: DataFrame, codes: DataFrame, codebook: Artifact) -> None:
    """Collisions over items and over distinct contents, use and entropy of each level, reconstruction error."""
    items = assigned.where(F.col("codebook_version") == codebook.version).select("sid", "content_hash")
    sid = F.concat_ws("-", F.col("codes").cast("array<string>"), F.col("suffix").cast("string"))
    for name, rows in (("items", items), ("distinct_contents", codes.select(sid.alias("sid")))):
        sizes = rows.groupBy("sid").count().groupBy("count").agg(F.count("*").alias("sids")).collect()
        numbers = collision_numbers(np.array([r["count"] for r in sizes]), np.array([r["sids"] for r in sizes]))
        for metric, value in numbers.items():
            run.measure(f"codes.{metric}", value, name)
    alike = items.groupBy("content_hash").count().where("count > 1").agg(F.sum("count")).collect()[0][0]
    run.measure("codes.identical_contents", alike or 0, "items")
    mean_error = codes.agg(F.avg("reconstruction_error")).collect()[0][0]
    run.measure("codes.reconstruction_error", mean_error, "distinct_contents")
    for place, size in enumerate(codebook.card["sizes"]):
        # Bounded by the codebook's size, a setting, not by the items.
        level = codes.groupBy(F.get("codes", F.lit(place))).count()
        counts = np.array([row["count"] for row in level.collect()])
        run.measure("codes.used", len(counts), f"sid_{place + 1}")
        run.measure("codes.used_share", len(counts) / size, f"sid_{place + 1}")
        run.measure("codes.entropy_bits", entropy(counts), f"sid_{place + 1}")


def measure_hits(run: Run, contents: DataFrame, codes: DataFrame, codebook: Codebook, most: int) -> None:
    """HR@1 and HR@10 of codes on a sample of contents."""
    sample = contents.select("content_hash", "embedding").orderBy("content_hash").limit(most)
    table = sample.join(codes.select("content_hash", "codes"), "content_hash", "inner").toArrow()
    rates = hit_rates(column_matrix(table["embedding"]), codebook.reconstruct(column_matrix(table["codes"])), (1, 10))
    for k, rate in rates.items():
        run.measure(f"codes.hr@{k}", rate, "distinct_contents")


def measure_drift(run: Run, assigned: DataFrame, codebook: Artifact) -> None:
    """Whether new contents fit the codebook as well as those it was fitted on, and so whether a refit is due.

    New contents are those given codes after the codebook's first night. The baseline of their reconstruction error is
    that of the contents held out when it was fitted; of the share that collides, that of the first night's contents.
    Before suffixes: a suffix hides a collision, it does not undo it.
    """
    settings = run.settings.codebook
    levels = len(codebook.card["sizes"])
    own = assigned.where(F.col("codebook_version") == codebook.version)
    every = F.concat(
        F.array_compact(F.array("sid_1", "sid_2", "sid_3")), F.coalesce("sid_more", F.array().cast("array<int>"))
    )
    contents = own.groupBy("content_hash").agg(
        F.min("assigned_at").alias("since"),
        F.min_by("reconstruction_error", "item_id").alias("error"),
        F.slice(F.min_by(every, "item_id"), 1, levels).alias("codes"),
    )
    first_night = own.agg(F.min("assigned_at")).collect()[0][0]
    dated = contents.withColumn("is_new", F.col("since") > F.lit(first_night))
    sharing = dated.groupBy("codes").agg(
        F.sum(F.col("is_new").cast("long")).alias("new"),
        F.count("*").alias("all"),
        F.sum(F.when(F.col("is_new"), F.col("error"))).alias("error"),
    )
    old = F.col("all") - F.col("new")
    row = sharing.agg(
        F.sum("new").alias("new"),
        F.sum(old).alias("old"),
        F.sum("error").alias("error"),
        F.sum(F.when(F.col("all") > 1, F.col("new")).otherwise(0)).alias("new_colliding"),
        F.sum(F.when(old > 1, old).otherwise(0)).alias("old_colliding"),
    ).collect()[0]
    run.measure("codes.new_contents", row["new"])
    quality = codebook.card["quality"]
    baseline = quality.get("held_out", quality["fitted"])["reconstruction_error"]
    collisions_then = row["old_colliding"] / row["old"]
    run.measure("codes.baseline_error", baseline)
    run.measure("codes.baseline_collision_rate", collisions_then)
    due = False
    if row["new"]:
        error, collisions = row["error"] / row["new"], row["new_colliding"] / row["new"]
        run.measure("codes.new_error", error)
        run.measure("codes.new_collision_rate", collisions)
        drifted = error > settings.refit_error_factor * baseline
        crowded = collisions > settings.refit_collision_factor * max(collisions_then, 1 / row["old"])
        due = row["new"] >= settings.refit_after and (drifted or crowded)
    run.measure("codes.refit_due", float(due), codebook.version)
