"""Writes questions with answers about new contents; alignment trains the embedding to answer them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.transforms.contents import endpoint_tasks
from jobs.transforms.writing import at_most, endpoint_limits, with_own_partners, writer_of
from lake.command import main
from lake.declaration import Job
from lake.frames import frame_of
from lake.run import Run
from models.llm.questions import WORDINGS_VERSION
from schemas.tables import ITEM_PAIRS, ITEM_QUESTIONS, ITEMS
from udfs.questions import QUESTION_SCHEMA, questions_by_endpoint, questions_from_fields

PARTNERS_NAMED = 3


def steps(run: Run) -> None:
    """Writes questions about contents without questions by this writer, and gives each item those of its content.

    Driver memory: independent of the number of contents. Executor memory: a batch of contents.
    """
    settings, endpoint = run.settings.questions, run.settings.endpoint
    writer = writer_of("questions", settings.writer, endpoint, WORDINGS_VERSION)
    items, pairs = run.read(ITEMS.name), run.read(ITEM_PAIRS.name)
    before = run.find(ITEM_QUESTIONS.name)
    current = _no_questions(run) if before is None else before
    asked = current.where(F.col("writer") == writer).select("content_hash").distinct()
    unasked, left = at_most(
        items.select("content_hash").distinct().join(asked, "content_hash", "left_anti"), settings.max_contents
    )
    fresh = with_own_partners(unasked, items, pairs, PARTNERS_NAMED)
    tasks = 2 * run.spark.sparkContext.defaultParallelism
    write = questions_from_fields(settings.per_item)
    if writer != WORDINGS_VERSION:
        tasks = endpoint_tasks(endpoint, run.spark.sparkContext.defaultParallelism)
        limits = endpoint_limits(run, tasks, settings.max_tokens, has_work=bool(left))
        write = questions_by_endpoint(limits, settings.per_item)
    written = fresh.repartition(tasks, "content_hash").mapInArrow(write, QUESTION_SCHEMA).persist()
    with run.step(f"write questions about {min(left, settings.max_contents)} contents"):
        count = written.count()
    about = written.select("content_hash").distinct().count()
    run.measure("questions.written", count)
    run.measure("questions.contents", about)
    run.measure("questions.contents_without", left - about)
    # Questions of other writers about the same content are kept: they may have been paid for, and alignment uses them.
    known = current.select("content_hash", "question", "answer", "writer").distinct()
    rows = (
        items.select("item_id", "content_hash")
        .join(known.unionByName(written.withColumn("writer", F.lit(writer))), "content_hash", "inner")
        .groupBy("item_id", "question")
        .agg(F.min_by(F.struct("answer", "writer", "content_hash"), F.struct("writer", "answer")).alias("kept"))
        .select("item_id", "question", "kept.*")
        .select(*ITEM_QUESTIONS.names)
    )
    if count or _differ(rows, current) or before is None:
        with run.step("write item_questions"):
            run.overwrite(ITEM_QUESTIONS, rows)
    written.unpersist()


def _no_questions(run: Run) -> DataFrame:
    return frame_of(run.spark, [], ITEM_QUESTIONS.schema)


def _differ(rows: DataFrame, current: DataFrame) -> bool:
    """Whether rows differ from the current table although no question was written, e.g. because of new items."""
    of = ["item_id", "content_hash", "writer"]
    new, old = rows.select(*of).distinct(), current.select(*of).distinct()
    return not (new.join(old, of, "left_anti").isEmpty() and old.join(new, of, "left_anti").isEmpty())


JOB = Job(
    name="write_questions",
    steps=steps,
    sections=("questions", "endpoint", "language_model"),
    reads=("items", "item_pairs"),
    writes=("item_questions",),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
