"""The rungs of the ladder of item texts: what the ranker reads of texts in each, and which tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks._ranker_models import Examples
from models.llm.item_tokens import CONTENTS, TOKENS, Vocabulary
from models.ranker.network.texts.arrays import BASE, FIELD, ItemTexts, ItemTokens, item_texts
from models.ranker.network.texts.shape import TextShape

MEAN = TextShape(
    encoder="mean", dim=32, layers=2, heads=2, gate=False, reading=False, user=False, events=True, matches=False,
    auxiliary=0.0, dropout=0.1,
)  # fmt: skip
ENCODER = replace(MEAN, encoder="transformer", dim=64)
NOT_RAW = {"bought with", "description"}
LIKE = 50
"""Items of like popularity among which texts are permuted."""


class Warehouse:
    """What the rungs read of a warehouse whose anchors are tokenised.

    Args:
        examples: its examples.
    """

    def __init__(self, examples: Examples) -> None:
        self.folder, self.card = examples.warehouse, examples.card
        files, index = self.current("item_tokens"), self.current("search_index")
        self.hashes = pq.read_table(files / CONTENTS)["content_hash"].to_pylist()
        self.vocabulary = Vocabulary.load(files)
        rows = pq.read_table(index / "item_rows.parquet", columns=["item_id", "item_row"]).to_pandas()
        items = self.table("items", ["item_id", "content_hash"]).set_index("item_id")["content_hash"]
        number = pd.Series(np.arange(1, 1 + len(self.hashes)), index=self.hashes)
        by_row = rows.sort_values("item_row")["item_id"].map(items).map(number).fillna(0)
        self.content, self.item_index = by_row.to_numpy(np.int32), np.load(index / "item_index.npy")
        vocabulary = self.vocabulary
        self.tokens = ItemTokens(
            np.load(files / TOKENS), vocabulary.vectors, vocabulary.domain.rows, 1 + len(vocabulary.fields)
        )

    def current(self, kind: str) -> Path:
        """Folder of the newest artifact of a kind."""
        folder = self.folder / "_artifacts" / kind
        return folder / (folder / "CURRENT").read_text(encoding="utf-8").strip()

    def table(self, name: str, columns: list[str]) -> pd.DataFrame:
        """Columns of a table."""
        return deltalake.DeltaTable(str(self.folder / name)).to_pandas(columns=columns)

    def texts(self, of: ItemTokens, content: np.ndarray | None = None) -> ItemTexts:
        """The texts of all items by these tokens."""
        return item_texts(of, self.content if content is None else content, self.item_index, int(self.card["items"]))


def learned(of: Warehouse) -> ItemTexts:
    """The tokens as they are."""
    return of.texts(of.tokens)


def frozen(of: Warehouse) -> ItemTexts:
    """One token a content: the item's embedding, by its principal components."""
    known = of.table("item_embeddings", ["content_hash", "embedding"]).drop_duplicates("content_hash")
    by_hash = known.set_index("content_hash")["embedding"]
    matrix = np.stack([by_hash[name] for name in of.hashes if name in by_hash.index]).astype(np.float32)
    centred = matrix - matrix.mean(0)
    vectors = np.zeros((1 + len(of.hashes), min(128, matrix.shape[1])), np.float32)
    there = 1 + np.flatnonzero([name in by_hash.index for name in of.hashes])
    vectors[there] = centred @ np.linalg.svd(centred, full_matrices=False)[2][: vectors.shape[1]].T
    tokens = np.zeros((len(vectors), 3, 1), np.int32)
    tokens[there, BASE, 0] = there
    return of.texts(ItemTokens(tokens, vectors, domains=1, fields=1))


def raw_fields(of: Warehouse) -> ItemTexts:
    """One token a value of the item's own fields, with random first values."""
    anchors = of.table("item_anchors", ["content_hash", "field", "text"])
    anchors = anchors[~anchors["field"].isin(NOT_RAW)].sort_values(["content_hash", "field"])
    value = anchors.groupby(["field", "text"]).ngroup().to_numpy() + 1
    of_field = anchors.groupby("field").ngroup().to_numpy() + 1
    place = anchors.groupby("content_hash").cumcount().to_numpy()
    row = anchors["content_hash"].map(pd.Series(np.arange(1, 1 + len(of.hashes)), index=of.hashes)).to_numpy(np.int64)
    tokens = np.zeros((1 + len(of.hashes), 3, int(place.max()) + 1), np.int32)
    tokens[row, BASE, place], tokens[row, FIELD, place] = value, of_field
    vectors = np.random.default_rng(0).normal(size=(1 + int(value.max()), 128)).astype(np.float32)
    return of.texts(ItemTokens(tokens, vectors, domains=1, fields=1 + int(of_field.max())))


def permuted(of: Warehouse) -> ItemTexts:
    """The tokens, permuted among items of like popularity; the item table is in the order of popularity."""
    known = np.where(of.item_index > 1, of.item_index, np.iinfo(np.int32).max)
    draw = np.random.default_rng(0)
    order = np.lexsort((draw.random(len(known)), known))
    content = of.content.copy()
    for start in range(0, len(order), LIKE):
        group = order[start : start + LIKE]
        content[group] = of.content[draw.permutation(group)]
    return of.texts(of.tokens, content)


@dataclass(frozen=True)
class Rung:
    """One ranker of the ladder.

    Attributes:
        shape: how it reads texts; None if it reads none.
        texts: makes the texts that it reads.
        without: switches that are off.
        learns: whether the tokens are learned.
    """

    shape: TextShape | None = None
    texts: Callable[[Warehouse], ItemTexts] = learned
    without: tuple[str, ...] = field(default=())
    learns: bool = True


GATED = replace(ENCODER, gate=True)
READING = replace(GATED, reading=True)
ALONE = replace(READING, auxiliary=0.2)
WHOLE = replace(ALONE, user=True)
NO_TEXT = "semantic IDs, no text"
RUNGS: Mapping[str, Rung] = {
    "no text, no semantic IDs": Rung(without=("codes", "crosses")),
    NO_TEXT: Rung(),
    "frozen embedding": Rung(MEAN, frozen, learns=False),
    "raw fields": Rung(MEAN, raw_fields),
    "mean of tokens": Rung(MEAN),
    "mean of tokens, user's side": Rung(replace(MEAN, user=True)),
    "mean of tokens, matches of fields": Rung(replace(MEAN, matches=True)),
    "encoder": Rung(ENCODER),
    "+ gate": Rung(GATED),
    "+ target-aware": Rung(READING),
    "+ auxiliary": Rung(ALONE),
    "+ user's side": Rung(WHOLE),
    "mean of tokens, permuted": Rung(MEAN, permuted),
    "mean of tokens, matches of fields, permuted": Rung(replace(MEAN, matches=True), permuted),
    "+ user's side, permuted": Rung(WHOLE, permuted),
}
"""Every rung from ``frozen embedding`` on stands on the ranker with semantic IDs."""
