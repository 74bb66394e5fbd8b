"""Writes questions with answers about new contents; alignment trains the embedding to answer them."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.transforms.contents import (
    accepted,
    by_content,
    check_endpoint,
    distinct_contents,
    endpoint_parameters,
    endpoint_tasks,
)
from jobs.transforms.partners import with_partners
from lake.command import main
from lake.declaration import Job
from lake.frames import frame_of
from lake.indexing import with_row_number
from lake.run import Run
from models.llm.questions import WORDINGS_VERSION
from schemas.errors import UserError
from schemas.tables import ITEM_PAIRS, ITEM_QUESTIONS, ITEMS
from udfs.questions import QUESTION_SCHEMA, questions_by_endpoint, questions_from_fields

PARTNERS_NAMED = 3


def steps(run: Run) -> None:
    """Writes questions about contents without questions by this writer, and gives each item those of its content.

    Driver memory: independent of the number of contents. Executor memory: a batch of contents.
    """
    settings, endpoint = run.settings.questions, run.settings.endpoint
    by_endpoint = settings.writer == "endpoint"
    if by_endpoint and not endpoint.url:
        raise UserError(
            "questions.writer is endpoint, but endpoint.url is empty; set it, or set questions.writer=fields"
        )
    writer = f"{endpoint.url}#{endpoint.model}" if by_endpoint else WORDINGS_VERSION
    items, pairs = run.read(ITEMS.name), run.read(ITEM_PAIRS.name)
    before = run.find(ITEM_QUESTIONS.name)
    current = _no_questions(run) if before is None else before
    asked = current.where(F.col("writer") == writer).select("content_hash").distinct()
    unasked = items.select("content_hash").distinct().join(asked, "content_hash", "left_anti").persist()
    left = unasked.count()
    if left > settings.max_contents:
        chosen = with_row_number(unasked, "number", "content_hash").where(F.col("number") < settings.max_contents)
        unasked = chosen.select("content_hash")
    # A content's partners follow from the pairs of its own items, so that a later night looks at few pairs.
    triggers = items.join(unasked, "content_hash", "left_semi").select(F.col("item_id").alias("trigger_item_id"))
    of_unasked = accepted(pairs).join(triggers, "trigger_item_id", "left_semi")
    contents = with_partners(distinct_contents(items), by_content(of_unasked, items), PARTNERS_NAMED)
    fresh = contents.join(unasked, "content_hash", "left_semi")
    cores = run.spark.sparkContext.defaultParallelism
    if by_endpoint:
        tasks = endpoint_tasks(endpoint, cores)
        limits = endpoint_parameters(endpoint, tasks, settings.max_tokens, run.settings.language_model.max_tokens)
        if left:
            check_endpoint(limits)
        write = questions_by_endpoint(limits, settings.per_item)
    else:
        tasks, write = 2 * cores, questions_from_fields(settings.per_item)
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
