"""Turns anchors into base and domain tokens; both vocabularies only grow, so that learned rows keep their meaning."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.training.texts import reads_texts
from lake.artifacts import Artifact
from lake.command import main
from lake.declaration import Job
from lake.run import Run
from lake.scratch import scratch_folder
from models.llm.anchors import BOUGHT_WITH, DESCRIPTION, SEPARATOR
from models.llm.item_tokens import CONTENTS, TOKENS, Vocabulary, values_of
from models.llm.language_model import convert, input_embedding, model_recipe
from schemas.errors import UserError, user_mistakes
from schemas.tables import ITEM_ANCHORS
from udfs.arrays import column_matrix
from udfs.item_tokens import ITEM_TOKEN_SCHEMA, tokens_of_anchors

FIELDS = 1000
"""Most fields that have a row; attributes of rare names beyond it are left out."""


def gathered(anchors: DataFrame) -> DataFrame:
    """content_hash, its anchors as a list of structs, and a hash of them."""
    listed = F.sort_array(F.collect_list(F.struct("field", "text")))
    by_content = anchors.groupBy("content_hash").agg(listed.alias("anchors"))
    return by_content.withColumn("anchors_hash", F.xxhash64("anchors"))


def field_names(anchors: DataFrame) -> list[str]:
    """Names of the fields, the most frequent :data:`FIELDS` of them."""
    counted = anchors.groupBy("field").count().orderBy(F.col("count").desc(), "field")
    return [row["field"] for row in counted.limit(FIELDS).collect()]


def frequent_values(anchors: DataFrame, min_frequency: int, most: int) -> list[str]:
    """Whole field values that many contents have, most frequent first. Driver memory: ``most`` values."""
    values = anchors.where(F.col("field") != DESCRIPTION).select(
        F.explode(F.when(F.col("field") == BOUGHT_WITH, F.split("text", SEPARATOR)).otherwise(F.array("text"))).alias(
            "value"
        )
    )
    counted = values.groupBy("value").count().where(F.col("count") >= min_frequency)
    return [row["value"] for row in counted.orderBy(F.col("count").desc(), "value").limit(most).collect()]


def sampled_values(anchors: DataFrame, most: int) -> list[str]:
    """Values of the anchors of ``most`` contents, drawn by hash. Driver memory: these values."""
    drawn = anchors.select("content_hash").distinct().orderBy(F.xxhash64("content_hash"), "content_hash").limit(most)
    found = anchors.join(drawn, "content_hash", "left_semi").select("field", "text").orderBy("text", "field").toArrow()
    return [value for row in found.to_pylist() for value in values_of(row["field"], row["text"])]


def grown_vocabulary(run: Run, anchors: DataFrame, before: Vocabulary) -> Vocabulary:
    """The vocabulary with the fields and the domain tokens that tonight's anchors add."""
    settings = run.settings.anchors
    values = frequent_values(anchors, settings.min_frequency, settings.domain_tokens)
    domain = before.domain.grown(
        sampled_values(anchors, settings.domain_contents),
        values,
        min_frequency=settings.min_frequency,
        most=settings.domain_tokens,
    )
    room = max(FIELDS - len(before.fields), 0)
    fields = [name for name in field_names(anchors) if name not in before.fields][:room]
    return replace(before.with_fields(fields), domain=domain)


def placed(
    known: pa.Table, old: NDArray[np.int32], made: pa.Table, tokens: NDArray[np.int32]
) -> tuple[pa.Table, NDArray[np.int32]]:
    """Contents and their tokens with those that were made tonight; a content that was known keeps its row.

    Args:
        known: content_hash and anchors_hash of the contents before.
        old: their tokens, after the row for no text, shape (1 + contents, 3, length).
        made: content_hash and anchors_hash of tonight's contents, sorted.
        tokens: their tokens, shape (n, 3, length).
    """
    found = pc.index_in(made["content_hash"], value_set=known["content_hash"].combine_chunks())
    is_new = np.asarray(found.is_null())
    number = known.num_rows + np.cumsum(is_new) - 1
    row = np.where(is_new, number, np.asarray(found.fill_null(0)))
    hashes = pa.concat_arrays([known["content_hash"].combine_chunks(), *made["content_hash"].filter(is_new).chunks])
    of_anchors = np.zeros(len(hashes), np.int64)
    of_anchors[: known.num_rows] = known["anchors_hash"].to_numpy()
    of_anchors[row] = made["anchors_hash"].to_numpy()
    every = np.zeros((1 + len(hashes), *tokens.shape[1:]), np.int32)
    every[: len(old)] = old
    every[1 + row] = tokens
    return pa.table({"content_hash": hashes, "anchors_hash": of_anchors}), every


def steps(run: Run) -> None:
    """Grows both vocabularies, tokenises contents whose anchors are new or changed, and publishes all tokens.

    Driver memory: ``12 * anchors.tokens`` bytes and the hash of each content; the anchors of
    ``anchors.domain_contents`` contents; ``anchors.domain_tokens`` terms; and, where words are new, the language
    model's input embedding. Executor memory: the terms, and a batch of contents. ``examples.max_items`` bounds the
    contents.
    """
    llm, settings = run.settings.language_model, run.settings.anchors
    with run.step("prepare the language model"), user_mistakes():
        model = run.made_once(
            "language_model", model_recipe(llm.model, llm.dtype), partial(convert, llm.model, llm.dtype)
        )  # fmt: skip
    anchors = run.read(ITEM_ANCHORS.name)
    recipe = {"language_model": model.digest, "tokens": settings.tokens}
    last = run.latest("item_tokens")
    before = last if last is not None and run.lake.goes_on and last.card["recipe"] == recipe else None
    line = run.run_id if before is None else before.card["line"]
    known, old, vocabulary = _before(run, before, settings.tokens)
    with run.step("grow the vocabularies"):
        vocabulary = grown_vocabulary(run, anchors, vocabulary)
    known_frame = run.spark.createDataFrame(known)
    contents = gathered(anchors)
    lacking = contents.join(known_frame, ["content_hash", "anchors_hash"], "left_anti")
    make = tokens_of_anchors(run.lake.artifacts.ship(model), vocabulary.domain, vocabulary.fields, settings.tokens)
    cores = run.spark.sparkContext.defaultParallelism
    with run.step("tokenise anchors"):
        made = (
            lacking.repartition(2 * cores, "content_hash")
            .mapInArrow(make, ITEM_TOKEN_SCHEMA)
            .toArrow()
            .sort_by("content_hash")
        )
    if len(old) + made.num_rows > run.settings.examples.max_items:
        raise UserError(
            f"examples.max_items: {len(old) + made.num_rows} contents have anchors, but"
            f" {run.settings.examples.max_items} are allowed; raise it and --driver-memory"
        )
    shape = (made.num_rows, 3, settings.tokens)
    ids = column_matrix(made["tokens"]).reshape(shape) if made.num_rows else np.zeros(shape, np.int64)
    new = vocabulary.lacking(np.unique(ids[:, 0][ids[:, 0] >= 0]))
    if len(new):
        embedding = input_embedding(run.lake.artifacts.fetch(model))[new]
        vocabulary = vocabulary.with_ids(new, embedding)
    tokens = np.stack([vocabulary.rows_of(ids[:, 0]), ids[:, 1], ids[:, 2]], axis=1).astype(np.int32)
    table, every = placed(known, old, made, tokens)
    run.measure("tokens.contents", len(every) - 1)
    run.measure("tokens.new_contents", made.num_rows)
    run.measure("tokens.base", len(vocabulary.ids))
    run.measure("tokens.domain", len(vocabulary.domain.terms))
    run.measure("tokens.covered", _share(every[:, 1] > 0, every[:, 0] > 0))
    run.measure("tokens.full", _share(every[:, 0, -1] > 0, every[:, 0, 0] > 0))
    with scratch_folder() as folder:
        vocabulary.save(folder)
        np.save(folder / TOKENS, every)
        pq.write_table(table, folder / CONTENTS)
        run.publish("item_tokens", folder, recipe, line=line)


def _before(run: Run, before: Artifact | None, length: int) -> tuple[pa.Table, NDArray[np.int32], Vocabulary]:
    if before is None:
        schema = pa.schema([("content_hash", pa.string()), ("anchors_hash", pa.int64())])
        return schema.empty_table(), np.zeros((1, 3, length), np.int32), Vocabulary()
    folder = run.lake.artifacts.fetch(before)
    return pq.read_table(folder / CONTENTS), np.load(folder / TOKENS), Vocabulary.load(folder)


def _share(part: NDArray[Any], of: NDArray[Any]) -> float:
    return float(part.sum() / max(of.sum(), 1))


JOB = Job(
    name="tokenize_anchors",
    steps=steps,
    sections=("anchors", "language_model"),
    reads=("item_anchors",),
    makes=("language_model", "item_tokens"),
    wanted=reads_texts,
)

if __name__ == "__main__":
    raise SystemExit(main(JOB))
