"""Aligns the language model to the accepted pairs, by contrastive loss and questions (QARM V2)."""

from __future__ import annotations

import logging
import math
from functools import partial, reduce

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.training.checkpoints import checkpoint_file, remove_checkpoints
from jobs.training.processes import in_processes, refuse_processes_off_the_driver
from jobs.transforms.contents import accepted, by_content, distinct_contents
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job, Option
from lake.local_copies import local_copies
from lake.periods import split_periods
from lake.run import Run
from lake.scratch import scratch_folder
from lake.staging import staged
from models.feed.file_systems import reads_in_place
from models.llm.alignment import AlignmentRecord
from models.llm.alignment_process import AlignmentTask, align_alone, align_together
from models.llm.language_model import convert, model_recipe
from models.llm.prompts import PROMPT_VERSION
from schemas.errors import UserError, user_mistakes
from schemas.recipe import recipe_of
from schemas.tables import INTERACTIONS, ITEM_PAIRS, ITEM_QUESTIONS, ITEMS
from udfs.tokens import QUESTION_TOKEN_SCHEMA, TOKEN_SCHEMA, tokens_of_contents, tokens_of_questions

log = logging.getLogger("qarm")

FEED_FILES = 8
MOST_PASSES = 64
ROWS_TO_SPARE = 1.25
"""Factor on the rows that the steps need: the share drawn by hash is not exact, and incomplete batches are dropped."""

LOSS_STEPS = 20
"""Number of last steps whose mean loss is reported."""


def known_partners(pairs: DataFrame, most: int) -> DataFrame:
    """Partners of each content, which are never its negatives, and the content's frequency in the pairs.

    Args:
        pairs: pairs of contents: trigger, target, place.
        most: most partners kept per content, the best by place.

    Returns:
        content_hash, known ARRAY<LONG> of ``most`` hashes padded by 0, log_frequency FLOAT.
    """
    back = pairs.select(F.col("target").alias("trigger"), F.col("trigger").alias("target"), "place")
    both = pairs.unionByName(back).groupBy("trigger", "target").agg(F.min("place").alias("place"))
    total = both.count()
    order = Window.partitionBy("trigger").orderBy("place", F.xxhash64("target"))
    kept = both.withColumns(
        {"rank": F.row_number().over(order), "ends": F.count("*").over(Window.partitionBy("trigger"))}
    ).where(F.col("rank") <= most)
    lists = kept.groupBy(F.col("trigger").alias("content_hash")).agg(
        F.sort_array(F.collect_list(F.xxhash64("target"))).alias("found"), F.first("ends").alias("ends")
    )
    padded = F.slice(F.concat("found", F.array_repeat(F.lit(0).cast("long"), most)), 1, most)
    frequency = F.log(F.col("ends") / F.lit(max(total, 1))).cast("float")
    return lists.select("content_hash", padded.alias("known"), frequency.alias("log_frequency"))


def drawn_contents(pairs: DataFrame, *, partners: int, passes: int, share: float, seed: int) -> DataFrame:
    """Draws contents to train on: a pass draws every pair once, in groups of one trigger with a few partners.

    A content is drawn as often as it occurs in pairs, so that a batch holds many pairs of its contents.

    Args:
        pairs: pairs of contents.
        partners: most partners per group.
        passes: number of passes over all pairs; each has another order.
        share: share of the groups that is drawn, by hash.
        seed: seed of the hashes.

    Returns:
        pass INT, draw LONG (the group), slot INT (0 = the trigger), content_hash.
    """
    drawn = []
    for number in range(passes):
        salt = F.lit(seed * 1_000_003 + number)
        order = Window.partitionBy("trigger").orderBy(F.xxhash64("trigger", "target", salt), "target")
        placed = pairs.withColumn("rank", F.row_number().over(order) - 1).select(
            "trigger",
            "target",
            (F.pmod("rank", F.lit(partners)) + 1).alias("slot"),
            F.xxhash64("trigger", F.floor(F.col("rank") / partners), salt).alias("draw"),
        )
        chosen = placed.where(F.shiftrightunsigned("draw", 11) / F.lit(float(2**53)) < share)
        first = chosen.where("slot = 1").select("draw", F.lit(0).alias("slot"), F.col("trigger").alias("content_hash"))
        both = chosen.select("draw", "slot", F.col("target").alias("content_hash")).unionByName(first)
        drawn.append(both.withColumn("pass", F.lit(number)))
    return reduce(DataFrame.unionByName, drawn)


def with_a_question(drawn: DataFrame, questions: DataFrame, share: float) -> DataFrame:
    """Adds ``question`` and ``answer``, chosen by hash; each pass asks a content another one of its questions.

    Args:
        drawn: rows with pass and content_hash.
        questions: content_hash, question, answer, as token arrays.
        share: share of the contents that are asked a question in a pass; the others get nulls.
    """
    draw = F.shiftrightunsigned(F.xxhash64("content_hash", "pass"), 11) / F.lit(float(2**53))
    order = Window.partitionBy("content_hash").orderBy(F.xxhash64("question", "answer"))
    numbered = questions.withColumns(
        {"number": F.row_number().over(order) - 1, "of": F.count("*").over(Window.partitionBy("content_hash"))}
    )
    counts = numbered.where("number = 0").select("content_hash", "of")
    place = F.pmod(F.xxhash64("content_hash") + F.col("pass"), F.col("of")).cast("int")
    chosen = drawn.join(counts, "content_hash", "left").select(
        *drawn.columns, F.when(draw < share, place).alias("number")
    )
    return chosen.join(numbered.drop("of"), ["content_hash", "number"], "left").drop("number")


def feed_rows(run: Run, model: str) -> DataFrame:
    """Rows of the feed in training order, see :mod:`models.llm.alignment_batch`.

    Args:
        run: the run.
        model: the shipped language model.

    Raises:
        UserError: there is no pair to align on.
    """
    settings, items = run.settings.align, run.read(ITEMS.name)
    pairs = run.read(ITEM_PAIRS.name)
    chosen = accepted(pairs) if settings.pairs == "accepted" else pairs
    pairs = by_content(chosen, items, settings.min_support).persist()
    count = pairs.count()
    if not count:
        raise UserError(
            "align.pairs: table item_pairs holds no pair of different contents to align on; lower align.min_support, or"
            " the minima under mine"
        )
    wanted = ROWS_TO_SPARE * settings.steps * settings.batch_contents
    passes = min(math.ceil(wanted / count), MOST_PASSES)
    drawn = drawn_contents(
        pairs, partners=settings.partners, passes=passes, share=wanted / (passes * count), seed=settings.seed
    )
    contents = distinct_contents(items).join(known_partners(pairs, settings.known_partners), "content_hash", "inner")
    tokens = contents.mapInArrow(tokens_of_contents(model, run.settings.language_model.max_tokens), TOKEN_SCHEMA)
    columns = contents.select("content_hash", "known", "log_frequency").join(tokens, "content_hash", "inner")
    none = F.array_repeat(F.lit(0), settings.question_tokens)
    if settings.question_weight:
        asked = run.read(ITEM_QUESTIONS.name).select("content_hash", "question", "answer").distinct()
        questions = asked.mapInArrow(tokens_of_questions(model, settings.question_tokens), QUESTION_TOKEN_SCHEMA)
        drawn = with_a_question(drawn, questions, settings.question_share)
    else:
        drawn = drawn.withColumns({"question": none, "answer": none})
    order = ["pass", "draw", "slot", "content_hash"]
    rows = drawn.join(columns, "content_hash", "inner").select(
        *order,
        F.xxhash64("content_hash").alias("content"),
        "tokens",
        "known",
        "log_frequency",
        F.coalesce("question", none).alias("question"),
        F.coalesce("answer", none).alias("answer"),
    )
    return rows.repartitionByRange(FEED_FILES, *order).sortWithinPartitions(*order).drop(*order)


def steps(run: Run) -> None:
    """Aligns the language model, unless these settings already made an aligned model and no new one is requested.

    Driver memory: the language model with gradients and AdamW's moments, which is four times its weights in float32,
    plus the memory of :func:`models.llm.alignment.align`; ``align.processes`` times. Executor memory: a batch of
    contents.
    """
    settings, llm = run.settings.align, run.settings.language_model
    if settings.steps == 0:
        return
    refuse_processes_off_the_driver(run, "align", settings.processes)
    for table in run.job.reads:
        run.version(table)
    until = split_periods(run.read(INTERACTIONS.name), run.settings.split).fit_until.isoformat()
    with run.step("prepare the language model"), user_mistakes():
        model = run.made_once(
            "language_model", model_recipe(llm.model, llm.dtype), partial(convert, llm.model, llm.dtype)
        )
    recipe = {
        "language_model": model.digest,
        "align": recipe_of(settings),
        "max_tokens": llm.max_tokens,
        "prompt": PROMPT_VERSION,
    }
    current = run.reuse("aligned_model", recipe)
    if current is not None and not settings.realign:
        if current.card["fitted_until"] <= until:
            return
        log.warning(
            "align_encoder: %s was fitted on pairs until %s, but the pairs now end before %s: a new model is aligned",
            current.version, current.card["fitted_until"], until,
        )  # fmt: skip
    rows = feed_rows(run, run.lake.artifacts.ship(model))
    with (
        staged(run, "alignment", rows) as written,
        local_copies(run.lake.files, reads_in_place) as copies,
        run.step("train"),
    ):
        _train_and_publish(run, model, recipe, files=copies(written.files), until=until)


def _train_and_publish(run: Run, model: Artifact, recipe: dict[str, object], *, files: list[str], until: str) -> None:
    settings = run.settings.align
    read = {table: run.version(table) for table in (ITEMS.name, ITEM_PAIRS.name, ITEM_QUESTIONS.name)}
    made_from = [run.lake.warehouse.root, recipe, read]
    state = checkpoint_file(run, settings.checkpoint_folder, of="align", made_from=made_from)
    with scratch_folder() as folder, user_mistakes():
        task = AlignmentTask(
            files=files,
            settings=settings,
            model=run.lake.artifacts.fetch(model),
            checkpoint=state,
            out=folder,
        )
        train = align_alone if settings.processes == 1 else align_together
        record = AlignmentRecord(**in_processes(train, task, settings.processes))
        losses = {
            "contrastive": record.contrastive,
            "answers": [v if math.isfinite(v) else None for v in record.answers],
        }
        run.publish("aligned_model", folder, recipe, tables=read, fitted_until=until, losses=losses)
    remove_checkpoints(run, settings.checkpoint_folder, of="align")
    run.measure("align.steps", len(record.contrastive))
    run.measure("align.resumed_at", record.resumed_at)
    run.measure("align.seconds", record.seconds)
    run.measure("align.contrastive_loss", float(np.mean(record.contrastive[-LOSS_STEPS:])))
    run.measure("align.answers_loss", float(np.mean(record.answers[-LOSS_STEPS:])))
    run.measure("align.temperature", record.temperature)


JOB = Job(
    name="align_encoder",
    steps=steps,
    sections=("align", "language_model", "split"),
    reads=("interactions", "items", "item_pairs", "item_questions"),
    after=("write_anchors",),
    makes=("language_model", "aligned_model"),
    examples=(
        "--set align.steps=2000",
        "--realign",
    ),
    options=(
        Option(
            flags=("--realign",),
            help="align again, even if settings have not changed",
            setting="align.realign",
            assigns="true",
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
