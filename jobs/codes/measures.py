"""Measures the quality of the codes, and whether new contents still fit the codebook."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.codes.published import all_codes
from lake.artifacts import Artifact
from lake.run import Run
from models.quantize.codebook import Codebook
from models.quantize.quality import collision_numbers, hit_rates
from udfs.arrays import column_matrix

COLLISION_FLOOR = 0.01
"""Smallest baseline of the share of colliding contents; smaller shares are no reason to refit."""


def measure_codes(run: Run, assigned: DataFrame, codebook: Artifact) -> None:
    """Measures collisions of items and of distinct contents, use and entropy of each level, reconstruction error.

    Driver memory: one row per pair of numbers: of items and of contents that share a SID.
    """
    items = assigned.where(F.col("codebook_version") == codebook.version)
    own = F.min_by(F.struct("sid", "reconstruction_error", all_codes().alias("codes")), "item_id")
    contents = items.groupBy("content_hash").agg(F.count("*").alias("copies"), own.alias("own"))
    contents = contents.select("content_hash", "copies", "own.*").persist()
    by_sid = contents.groupBy("sid").agg(
        F.sum("copies").alias("items"),
        F.count("*").alias("distinct_contents"),
        F.sum(F.when(F.col("copies") > 1, F.col("copies")).otherwise(0)).alias("identical"),
        F.sum("reconstruction_error").alias("error"),
    )
    sums = (F.sum(name).alias(name) for name in ("identical", "error"))
    sizes = by_sid.groupBy("items", "distinct_contents").agg(F.count("*").alias("sids"), *sums).toPandas()
    for name in ("items", "distinct_contents"):
        for metric, value in collision_numbers(sizes[name].to_numpy(), sizes["sids"].to_numpy()).items():
            run.measure(f"codes.{metric}", value, name)
    run.measure("codes.identical_contents", sizes["identical"].sum(), "items")
    count = (sizes["distinct_contents"] * sizes["sids"]).sum()
    run.measure("codes.reconstruction_error", sizes["error"].sum() / count, "distinct_contents")
    levels = codebook.card["sizes"]
    n = F.sum("count")
    bits = F.log2(n) - F.sum(F.col("count") * F.log2("count")) / n
    codes = contents.select(F.posexplode(F.slice("codes", 1, len(levels))).alias("level", "code"))
    used = codes.groupBy("level", "code").count().groupBy("level").agg(F.count("*").alias("used"), bits.alias("bits"))
    for row in used.orderBy("level").collect():
        slice = f"sid_{row['level'] + 1}"
        run.measure("codes.used", row["used"], slice)
        run.measure("codes.used_share", row["used"] / levels[row["level"]], slice)
        run.measure("codes.entropy_bits", row["bits"], slice)
    contents.unpersist()


def measure_hits(run: Run, contents: DataFrame, codes: DataFrame, codebook: Codebook, *, most: int) -> None:
    """Measures HR@1 and HR@10 of the codes on a sample of contents.

    Driver memory: ``most`` embeddings and their reconstructions.
    """
    sample = contents.select("content_hash", "embedding").orderBy("content_hash").limit(most)
    table = sample.join(codes.select("content_hash", "codes"), "content_hash", "inner").toArrow()
    rates = hit_rates(column_matrix(table["embedding"]), codebook.reconstruct(column_matrix(table["codes"])), (1, 10))
    for k, rate in rates.items():
        run.measure(f"codes.hr@{k}", rate, "distinct_contents")


def measure_drift(run: Run, assigned: DataFrame, codebook: Artifact) -> None:
    """Measures whether new contents fit the codebook as well as the first contents did, and whether a refit is due.

    The first contents are those of the codebook's first assignment, new contents those of later assignments. The
    baseline of the reconstruction error is the error of the first contents or of the contents held out in the fit,
    whichever is larger; the baseline of the collisions is the share of the first contents that collide. A content
    collides if more contents than the settings allow have its codes; the suffix is ignored here.
    """
    settings = run.settings.codebook
    levels = len(codebook.card["sizes"])
    cap = settings.contents_per_sid if settings.collisions == "next_best" else 1
    own = assigned.where(F.col("codebook_version") == codebook.version)
    contents = own.groupBy("content_hash").agg(
        F.min("assigned_at").alias("since"),
        F.min_by("reconstruction_error", "item_id").alias("error"),
        F.slice(F.min_by(all_codes(), "item_id"), 1, levels).alias("codes"),
    )
    first_night = own.agg(F.min("assigned_at").alias("first_night"))
    dated = contents.crossJoin(first_night).withColumn("is_new", F.col("since") > F.col("first_night"))
    sharing = dated.groupBy("codes").agg(
        F.sum(F.col("is_new").cast("long")).alias("new"),
        F.count("*").alias("all"),
        F.sum(F.when(F.col("is_new"), F.col("error"))).alias("new_error"),
        F.sum(F.when(~F.col("is_new"), F.col("error"))).alias("old_error"),
    )
    old = F.col("all") - F.col("new")
    row = sharing.agg(
        F.sum("new").alias("new"),
        F.sum(old).alias("old"),
        F.sum("new_error").alias("new_error"),
        F.sum("old_error").alias("old_error"),
        F.sum(F.when(F.col("all") > cap, F.col("new")).otherwise(0)).alias("new_colliding"),
        F.sum(F.when(old > cap, old).otherwise(0)).alias("old_colliding"),
    ).collect()[0]
    quality = codebook.card["quality"]
    expected = quality.get("held_out", quality["fitted"])["reconstruction_error"]
    baseline = max(expected, row["old_error"] / row["old"])
    collisions_then = row["old_colliding"] / row["old"]
    run.measure("codes.new_contents", row["new"])
    run.measure("codes.baseline_error", baseline)
    run.measure("codes.baseline_collision_rate", collisions_then)
    due = False
    if row["new"]:
        error, collisions = row["new_error"] / row["new"], row["new_colliding"] / row["new"]
        run.measure("codes.new_error", error)
        run.measure("codes.new_collision_rate", collisions)
        drifted = error > settings.refit_error_factor * baseline
        crowded = collisions > settings.refit_collision_factor * max(collisions_then, COLLISION_FLOOR)
        due = row["new"] >= settings.refit_after and (drifted or crowded)
    run.measure("codes.refit_due", float(due), codebook.version)
