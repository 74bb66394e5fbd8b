"""The tokens of item texts, and the vocabularies that they are rows of; both only grow from night to night."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.llm.anchors import ASKED, BOUGHT_WITH, CATEGORY, DESCRIPTION, SEPARATOR, TITLE
from models.llm.domain_tokens import DomainTokens

CONTENTS = "contents.parquet"
"""File of the contents' hashes, and of what their anchors were, in the order of their rows; the first has row 1."""
VOCABULARY, PCA, VECTORS, TOKENS = "vocabulary.json", "pca.npz", "vectors.npy", "tokens.npy"
COLUMNS = 128
"""Largest number of principal components that the first values of base tokens have."""
FIRST, LAST = (TITLE, CATEGORY), (*ASKED, BOUGHT_WITH, DESCRIPTION)


def place_of(name: str) -> tuple[int, str]:
    """Sorts fields as they are read: title, category, attributes by name, what a model wrote, partners, description."""
    if name in FIRST:
        return FIRST.index(name), ""
    return (3 + LAST.index(name), "") if name in LAST else (2, name)


def values_of(name: str, text: str) -> list[str]:
    """The values of an anchor: the titles of partners each, of another field its text as a whole."""
    return text.split(SEPARATOR) if name == BOUGHT_WITH else [text]


@dataclass(frozen=True)
class Vocabulary:
    """What the rows of the ranker's tables of tokens stand for; row 0 of each is none.

    Attributes:
        ids: the language model's ids of the base tokens; the first has row 1.
        fields: names of fields; the first has row 1.
        domain: the domain tokens.
        mean: mean of the language model's input embedding over the first base tokens, shape (model width,).
        components: its principal components, by falling variance, shape (columns, model width).
        vectors: principal components of the base tokens by row, shape (1 + base tokens, columns).
    """

    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    fields: Sequence[str] = ()
    domain: DomainTokens = field(default_factory=DomainTokens)
    mean: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    components: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    vectors: NDArray[np.float32] = field(default_factory=lambda: np.zeros((1, 0), np.float32))

    def with_fields(self, names: Sequence[str]) -> Vocabulary:
        """The vocabulary with further fields at the end."""
        new = sorted({*names} - {*self.fields}, key=place_of)
        return replace(self, fields=[*self.fields, *new])

    def lacking(self, ids: NDArray[np.int64]) -> NDArray[np.int64]:
        """Ids of the language model that are no base tokens yet, ascending."""
        return np.setdiff1d(ids, self.ids)

    def with_ids(self, new: NDArray[np.int64], embedding: NDArray[np.float32]) -> Vocabulary:
        """The vocabulary with further base tokens at the end.

        The first base tokens fit the principal components, which later ones are projected on.

        Args:
            new: ids that are no base tokens yet.
            embedding: their rows of the language model's input embedding, shape (n, model width).
        """
        mean, components = self.mean, self.components
        if not len(self.ids):
            mean = embedding.mean(0)
            _, _, right = np.linalg.svd(embedding - mean, full_matrices=False)
            right = right[:COLUMNS]
            largest = np.abs(right).argmax(1)  # a component's sign is free; this one makes it the same on every machine
            components = right * np.sign(right[np.arange(len(right)), largest])[:, None]
        projected = ((embedding - mean) @ components.T).astype(np.float32)
        before = self.vectors if len(self.ids) else np.zeros((1, len(components)), np.float32)
        vectors = np.concatenate([before, projected])
        return replace(
            self, ids=np.concatenate([self.ids, new]), mean=mean, components=components, vectors=vectors
        )  # fmt: skip

    def rows_of(self, ids: NDArray[np.int64]) -> NDArray[np.int32]:
        """Rows of base tokens by the language model's ids; -1, which is padding, has row 0."""
        order = np.argsort(self.ids)
        place = np.searchsorted(self.ids, ids, sorter=order).clip(max=max(len(self.ids) - 1, 0))
        rows = 1 + order[place] if len(order) else np.zeros(ids.shape, np.int64)
        found: NDArray[np.int32] = np.where(ids >= 0, rows, 0).astype(np.int32)
        return found

    def save(self, folder: Path) -> None:
        """Writes the vocabulary to a folder."""
        domain = {name: list(getattr(self.domain, name)) for name in ("letters", "merges", "terms")}
        told = {"ids": self.ids.tolist(), "fields": list(self.fields), **domain}
        (folder / VOCABULARY).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        np.savez(folder / PCA, mean=self.mean, components=self.components)
        np.save(folder / VECTORS, self.vectors)

    @classmethod
    def load(cls, folder: Path) -> Vocabulary:
        """Reads what :meth:`save` wrote."""
        told = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
        domain = DomainTokens(told["letters"], [(one, other) for one, other in told["merges"]], told["terms"])
        pca = np.load(folder / PCA)
        vectors = np.load(folder / VECTORS)
        ids = np.array(told["ids"], np.int64)
        return cls(ids, told["fields"], domain, pca["mean"], pca["components"], vectors)


def tokens_of(
    tokenizer: Any,
    domain: DomainTokens,
    fields: Sequence[str],
    anchors: Sequence[Sequence[tuple[str, str]]],
    *,
    most: int,
) -> NDArray[np.int64]:
    """Tokens of contents.

    Every value of an anchor is tokenised with a space before it, so that a word has the same token wherever it stands.

    Args:
        tokenizer: tokenizer of the language model, which tells the places of tokens in a text.
        domain: the domain tokens.
        fields: names of the fields that have rows.
        anchors: for each content the fields and texts of its anchors; fields without a row are left out.
        most: tokens of a content; further ones are left out.

    Returns:
        The language model's ids, rows of domain tokens and rows of fields, shape (contents, 3, most). Padding has id -1
        and rows 0.
    """
    row = {name: 1 + number for number, name in enumerate(fields)}
    found = np.zeros((len(anchors), 3, most), np.int64)
    found[:, 0] = -1
    asked = [
        (content, row[name], value)
        for content, of_content in enumerate(anchors)
        for name, text in sorted(of_content, key=lambda anchor: place_of(anchor[0]))
        if name in row
        for value in values_of(name, text)
    ]
    if not asked:
        return found
    encoded = tokenizer(
        [f" {value}" for _, _, value in asked], add_special_tokens=False, return_offsets_mapping=True
    )  # fmt: skip
    length = np.zeros(len(anchors), np.int64)
    for (content, of_field, value), ids, offsets in zip(
        asked, encoded["input_ids"], encoded["offset_mapping"], strict=True
    ):
        start = length[content]
        kept = min(len(ids), most - start)
        if kept <= 0:
            continue
        places = [min(max(begin - 1, 0), max(len(value) - 1, 0)) for begin, _ in offsets[:kept]]
        part = slice(start, start + kept)
        found[content, 0, part] = ids[:kept]
        found[content, 1, part] = domain.covering(value, places)
        found[content, 2, part] = of_field
        length[content] += kept
    return found
