"""The item texts that a ranker learns from, in the order of its search index."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import functions as F

from jobs.examples.search_index import ITEM_ROWS
from lake.artifacts import Artifact
from lake.run import Run
from models.llm.item_tokens import CONTENTS, TOKENS, Vocabulary
from models.ranker.network.texts.arrays import ItemTexts, ItemTokens, item_texts
from schemas.errors import UserError, user_mistakes
from schemas.examples import ranker_examples
from schemas.settings import Settings
from schemas.tables import ITEMS


@dataclass(frozen=True)
class Texts:
    """The item texts of a training.

    Attributes:
        arrays: the texts.
        folder: local folder that holds them, for the processes of the training.
        line: the run that began the vocabularies; rows of tokens keep their meaning as long as it is the same.
        version: version of the tokens, and a digest of which item has which text.
    """

    arrays: ItemTexts
    folder: Path
    line: str
    version: str


def reads_texts(settings: Settings) -> bool:
    """Whether the ranker reads item texts."""
    return "text" in settings.ranker.use.on


def texts_of(run: Run, index: Artifact, folder: Path) -> Texts | None:
    """The texts of the items of a search index; None if ``ranker.use.text`` is off.

    Driver memory: the tokens, ``12 * anchors.tokens`` bytes a content, and 100 bytes an item.

    Args:
        run: the run.
        index: the search index.
        folder: an empty local folder.

    Raises:
        UserError: there are no tokens, items share rows of the item table, or an earlier qarm wrote the examples.
    """
    if not reads_texts(run.settings):
        return None
    if run.find_with_columns(ranker_examples(run.settings.ranking.task_names)) is None:
        raise UserError(
            "ranker.use.text: an earlier qarm wrote ranker_examples, without text_row; run build_examples --set"
            " increments.on=false, or nightly --full-refresh"
        )
    made = run.use("item_tokens", "tokenize_anchors")
    files = run.lake.artifacts.fetch(made)
    rows = run.spark.read.parquet(f"{index.url}/{ITEM_ROWS}").select("item_id", "item_row")
    items = run.read_earlier(ITEMS.name, int(index.card["recipe"][ITEMS.name])).select("item_id", "content_hash")
    hashes = pq.read_table(files / CONTENTS, columns=["content_hash"])["content_hash"]
    numbers = pa.array(np.arange(1, 1 + len(hashes)))
    contents = run.spark.createDataFrame(pa.table({"content_hash": hashes, "content": numbers}))
    known = rows.join(items, "item_id", "left").join(contents, "content_hash", "left")
    content = known.select("item_row", F.coalesce("content", F.lit(0)).alias("content")).toArrow().sort_by("item_row")
    vocabulary = Vocabulary.load(files)
    tokens = ItemTokens(np.load(files / TOKENS), vocabulary.vectors, vocabulary.domain.rows, 1 + len(vocabulary.fields))
    item_index = np.load(run.lake.artifacts.fetch(index) / "item_index.npy")
    with user_mistakes():
        arrays = item_texts(tokens, content["content"].to_numpy(), item_index, int(index.card["items"]))
    arrays.save(folder)
    which = hashlib.sha256(arrays.content_of_row.tobytes()).hexdigest()[:12]
    return Texts(arrays, folder, made.card["line"], f"{made.version} {which}")
