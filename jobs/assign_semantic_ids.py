"""Assigns semantic IDs to new and changed items, and measures the quality of the codes."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.codes.changes import record_changes
from jobs.codes.checks import check_method
from jobs.codes.collisions import resolved
from jobs.codes.measures import measure_codes, measure_drift, measure_hits
from jobs.codes.neighbours import nearest_items
from jobs.codes.published import current_ids, published_codes
from lake.command import main
from lake.declaration import Job
from lake.indexing import with_row_number
from lake.run import Run
from lake.scratch import scratch_folder
from lake.side_by_side import side_by_side
from models.quantize.codebook import Codebook
from schemas.errors import UserError
from schemas.names import SID_COLUMNS
from schemas.tables import ITEM_EMBEDDINGS, SEMANTIC_IDS
from udfs.codes import CODES_SCHEMA, assign

COMPARED = ["sid", "content_hash", "neighbours", "reconstruction_error", "encoder_version", "codebook_version"]


def distinct_embeddings(embeddings: DataFrame) -> DataFrame:
    """One row per content: content_hash, embedding, and the smallest id of its items."""
    return embeddings.groupBy("content_hash").agg(
        F.min("item_id").alias("item_id"), F.min_by("embedding", "item_id").alias("embedding")
    )


def semantic_ids(
    embeddings: DataFrame, codes: DataFrame, near: DataFrame, *, codebook: str, now: datetime
) -> DataFrame:
    """Rows of ``semantic_ids``: every item with the codes and the neighbours of its content.

    Args:
        embeddings: rows of ``item_embeddings``.
        codes: content_hash, codes, suffix, reconstruction_error.
        near: content_hash, neighbours.
        codebook: version of the codebook.
        now: when the codes are assigned.
    """
    more = F.concat(F.slice("codes", len(SID_COLUMNS) + 1, 2**30), F.array_compact(F.array("suffix")))
    return (
        embeddings.select("item_id", "content_hash", "encoder_version")
        .join(codes, "content_hash", "inner")
        .join(near, "content_hash", "left")
        .withColumns({name: F.get("codes", F.lit(place)) for place, name in enumerate(SID_COLUMNS)})
        .withColumn("sid_more", more)
        .withColumn("sid", F.concat_ws("-", *SID_COLUMNS, F.col("sid_more").cast("array<string>")))
        .withColumn("codebook_version", F.lit(codebook))
        .withColumn("assigned_at", F.lit(now))
    )


def keep_assignment_times(rows: DataFrame, current: DataFrame) -> DataFrame:
    """Keeps ``assigned_at`` of items whose content, codes and codebook have not changed."""
    same = ["item_id", "content_hash", "sid", "codebook_version"]
    old = current.select(*same, F.col("assigned_at").alias("before"))
    return rows.join(old, same, "left").withColumn("assigned_at", F.coalesce("before", "assigned_at"))


def steps(run: Run) -> None:
    """Assigns codes to contents without codes of this codebook, finds neighbours, writes changes, measures.

    A content keeps the codes that this codebook gave it. Executor memory: the codebook; see :mod:`jobs.codes` for
    collisions and neighbours. Driver memory: ``codebook.quality_sample`` embeddings.
    """
    settings = run.settings.codebook
    artifact = run.use("codebook", "fit_codebook")
    codebook = Codebook.load(run.lake.artifacts.fetch(artifact))
    shipped = run.lake.artifacts.ship(artifact)
    embeddings = run.read(ITEM_EMBEDDINGS.name).where(F.col("encoder_version") == artifact.card["recipe"]["encoder"])
    contents = with_row_number(distinct_embeddings(embeddings), "position", "content_hash")
    count = contents.count()
    if count == 0:
        raise UserError(
            f"table item_embeddings holds no embedding of the encoder of {artifact.version}; run fit_codebook"
        )
    before = current_ids(run)
    fresh = contents.select("content_hash", "embedding")
    published = None
    if before is not None:
        published = published_codes(run, before, artifact).persist()
        fresh = fresh.join(published, "content_hash", "left_anti")
    with run.step("assign codes"):
        assigned = fresh.mapInArrow(assign(shipped), CODES_SCHEMA).persist()
        run.measure("codes.contents_assigned", assigned.count())
    given = resolved(assigned, published, fresh, codebook=shipped, levels=len(codebook.sizes), settings=settings)
    codes = (given if published is None else given.unionByName(published)).persist()
    with scratch_folder() as folder:
        with run.step("find neighbours"):
            near = nearest_items(run, contents, count=count, dimension=codebook.dimension, folder=folder)
        rows = semantic_ids(embeddings, codes, near, codebook=artifact.version, now=run.started_at)
        if before is not None:
            rows = keep_assignment_times(rows, before)
        with run.step("write semantic_ids"):
            run.merge(SEMANTIC_IDS, rows.select(*SEMANTIC_IDS.names).persist(), compare=COMPARED)
    with run.step("record what changed, and measure the codes"):
        side_by_side(
            run.spark,
            lambda: record_changes(run),
            lambda: measure_codes(run, run.read_back(SEMANTIC_IDS.name), artifact),
            lambda: measure_hits(run, contents, codes, codebook, most=settings.quality_sample),
            lambda: measure_drift(run, run.read_back(SEMANTIC_IDS.name), artifact),
        )


JOB = Job(
    name="assign_semantic_ids",
    steps=steps,
    sections=("codebook",),
    reads=("item_embeddings",),
    writes=("semantic_ids", "sid_changes"),
    uses=("codebook",),
    consults=("runs",),
    check=check_method,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
