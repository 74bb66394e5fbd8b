"""Writes anchors of new contents, short texts by field, whose words the ranker learns (ranker.use.text)."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.training.texts import reads_texts
from jobs.transforms.contents import endpoint_tasks
from jobs.transforms.writing import at_most, endpoint_limits, with_own_partners, writer_of
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from models.llm.anchors import WORDINGS_VERSION
from schemas.tables import ITEM_ANCHORS, ITEM_PAIRS, ITEMS
from udfs.anchors import ANCHOR_SCHEMA, anchors_by_endpoint, anchors_from_fields
from udfs.batches import Batches


def without_anchors(run: Run, items: DataFrame, writers: list[str]) -> tuple[DataFrame, int]:
    """Hashes of at most ``anchors.max_contents`` contents that lack the anchors of a writer, and how many do in all."""
    contents = items.select("content_hash").distinct()
    before = run.find(ITEM_ANCHORS.name)
    if before is not None:
        of_writers = before.where(F.col("writer").isin(writers)).groupBy("content_hash")
        complete = of_writers.agg(F.countDistinct("writer").alias("writers")).where(F.col("writers") == len(writers))
        contents = contents.join(complete, "content_hash", "left_anti")
    return at_most(contents, run.settings.anchors.max_contents)


def writing(run: Run, has_work: bool) -> list[tuple[str, int, Batches]]:
    """What writes: its name, the number of its tasks, and its function.

    The fields always write, for what an item is and is bought with is known; an endpoint adds what it infers.
    """
    settings, endpoint = run.settings.anchors, run.settings.endpoint
    cores = run.spark.sparkContext.defaultParallelism
    found = [(WORDINGS_VERSION, 2 * cores, anchors_from_fields(settings.max_characters))]
    writer = writer_of("anchors", settings.writer, endpoint, WORDINGS_VERSION)
    if writer != WORDINGS_VERSION:
        tasks = endpoint_tasks(endpoint, cores)
        limits = endpoint_limits(run, tasks, settings.max_tokens, has_work=has_work)
        found.append((writer, tasks, anchors_by_endpoint(limits, settings.max_characters)))
    return found


def steps(run: Run) -> None:
    """Writes anchors of contents without anchors by this writer; those of other contents stay as they are.

    A content whose text changed is a new content. Driver memory: independent of the number of contents. Executor
    memory: a batch of contents.
    """
    items, pairs = run.read(ITEMS.name), run.read(ITEM_PAIRS.name)
    settings = run.settings.anchors
    writer = writer_of("anchors", settings.writer, run.settings.endpoint, WORDINGS_VERSION)
    writers = list(dict.fromkeys([WORDINGS_VERSION, writer]))
    lacking, count = without_anchors(run, items, writers)
    fresh = with_own_partners(lacking, items, pairs, settings.partners).persist()
    parts = [
        fresh.repartition(tasks, "content_hash").mapInArrow(write, ANCHOR_SCHEMA).withColumn("writer", F.lit(writer))
        for writer, tasks, write in writing(run, bool(count))
    ]
    written = parts[0]
    for inferred in parts[1:]:  # what an item's own fields say stands
        written = written.unionByName(inferred.join(parts[0], ["content_hash", "field"], "left_anti"))
    written = written.select(*ITEM_ANCHORS.names).persist()
    with run.step(f"write anchors of {min(count, settings.max_contents)} contents"):
        rows = written.count()
    about = written.select("content_hash").distinct().count()
    run.measure("anchors.written", rows)
    run.measure("anchors.contents", about)
    run.measure("anchors.contents_without", count - about)
    if run.find(ITEM_ANCHORS.name) is None:
        with run.step("write item_anchors"):
            run.overwrite(ITEM_ANCHORS, written)
    elif rows:
        with run.step("write item_anchors"):
            run.merge(ITEM_ANCHORS, written, compare=["text", "writer"])
    for frame in (written, fresh):
        frame.unpersist()


JOB = Job(
    name="write_anchors",
    steps=steps,
    sections=("anchors", "endpoint", "language_model"),
    reads=("items", "item_pairs"),
    writes=("item_anchors",),
    after=("write_questions",),
    wanted=reads_texts,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
