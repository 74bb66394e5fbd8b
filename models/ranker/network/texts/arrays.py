"""The arrays that tell which tokens the text of an item has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.hashing import scramble

BASE, DOMAIN, FIELD = 0, 1, 2
"""Places of a token's three numbers: its base token, the domain token that covers it, and the field it is from."""

TEXT_ROWS = 4
"""Place of the number of text rows in :attr:`ItemTexts.sizes`."""


@dataclass(frozen=True)
class ItemTokens:
    """Tokens of all contents. In every array, row 0 stands for no text, no token, no field.

    Attributes:
        tokens: rows of the tables of base tokens, domain tokens and fields, padded with 0, shape (contents, 3, length).
        vectors: first values of the base tokens, by variance: a ranker of width d takes the first d columns; shape
            (base tokens, columns).
        domains: number of domain tokens.
        fields: number of fields.
    """

    tokens: NDArray[np.int32]
    vectors: NDArray[np.float32]
    domains: int
    fields: int


@dataclass(frozen=True)
class ItemTexts:
    """The tokens of all contents, and which items have which content.

    Attributes:
        of: the tokens.
        content_of_row: content of every ``text_row``, shape (items of the search index + 1,).
        row_of_index: ``text_row`` of the item of each row of the ranker's item table, 0 for rows 0 and 1 of it.
        index_of_row: row of the ranker's item table of every ``text_row``.
    """

    of: ItemTokens
    content_of_row: NDArray[np.int32]
    row_of_index: NDArray[np.int32]
    index_of_row: NDArray[np.int32]

    @property
    def sizes(self) -> list[int]:
        """Numbers of contents, base tokens, domain tokens, fields, text rows, and tokens of a content."""
        contents, _, length = self.of.tokens.shape
        return [contents, len(self.of.vectors), self.of.domains, self.of.fields, len(self.content_of_row), length]

    def save(self, folder: Path) -> None:
        """Writes the arrays, each into a file of its own."""
        arrays = {"tokens": self.of.tokens, "vectors": self.of.vectors}
        arrays |= {name: getattr(self, name) for name in ("content_of_row", "row_of_index", "index_of_row")}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        np.save(folder / "counts.npy", np.array([self.of.domains, self.of.fields]))

    @classmethod
    def load(cls, folder: Path) -> ItemTexts:
        """Maps what :meth:`save` wrote into memory."""
        tokens, vectors, content, row, index = (
            np.load(folder / f"{name}.npy", mmap_mode="r")
            for name in ("tokens", "vectors", "content_of_row", "row_of_index", "index_of_row")
        )
        domains, fields = np.load(folder / "counts.npy").tolist()
        return cls(ItemTokens(tokens, vectors, domains, fields), content, row, index)


def field_values(of: ItemTokens) -> NDArray[np.int32]:
    """A number for each value of a field: contents with the same base tokens in a field have the same number there.

    Args:
        of: the tokens.

    Returns:
        Shape (contents, fields); 0 where a content has no token of the field.
    """
    base, field = (of.tokens[:, part].astype(np.int64) for part in (BASE, FIELD))
    place = np.arange(base.shape[1])
    begins = np.zeros(base.shape, np.int64)
    begins[:, 1:] = np.where(field[:, 1:] != field[:, :-1], place[1:], 0)
    within = place - np.maximum.accumulate(begins, axis=1)  # place of the token in its field
    mixed = scramble((base * base.shape[1] + within).astype(np.uint64), salt=0)
    sums = np.zeros((len(base), of.fields), np.uint64)
    content, at = np.nonzero(base > 0)
    np.add.at(sums, (content, field[content, at]), mixed[content, at])
    numbers = np.unique(sums, return_inverse=True)[1].reshape(sums.shape)
    return np.where(sums > 0, 1 + numbers, 0).astype(np.int32)


def item_texts(of: ItemTokens, content: NDArray[np.int32], item_index: NDArray[np.int32], items: int) -> ItemTexts:
    """The texts of the items of a search index.

    Args:
        of: the tokens.
        content: content of each item, 0 for none, in the order of the search index, shape (n,).
        item_index: row of the ranker's item table of each item, in the same order, shape (n,).
        items: rows of the ranker's item table.

    Raises:
        ValueError: two items have the same row of the ranker's item table, beside the row of the unknown item.
    """
    index_of_row = np.concatenate([[0], item_index]).astype(np.int32)
    known = np.flatnonzero(index_of_row > 1)
    if len(np.unique(index_of_row[known])) < len(known):
        raise ValueError("ranker.use.text: items share rows of the item table; set examples.item_ids=vocabulary")
    row_of_index = np.zeros(items, np.int32)
    row_of_index[index_of_row[known]] = known
    return ItemTexts(of, np.concatenate([[0], content]).astype(np.int32), row_of_index, index_of_row)
