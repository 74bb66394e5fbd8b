"""The items that a retriever can name, and the sorted table of their codes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

ITEMS = "catalogue.parquet"
CODES = "codes.npy"


@dataclass(frozen=True)
class Catalogue:
    """Items and their codes. A *code* is a semantic ID, numbered by its place in the sorted table of distinct ones.

    Attributes:
        item_id: id of each item, in the order of the items' numbers, shape (items,).
        item_code: number of each item's code, shape (items,).
        codes: the distinct semantic IDs, sorted by level 1, then 2, then 3, shape (codes, levels).
        content: number of each item's content, shape (items,); items with the same text share it.
        popularity: how much all users took each item lately: its positive events, each counted
            ``0.5 ** (age / half-life)``, shape (items,).
    """

    item_id: pa.Array
    item_code: NDArray[np.int32]
    codes: NDArray[np.int32]
    content: NDArray[np.int32]
    popularity: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        item_id: pa.Array,
        sids: NDArray[np.int32],
        content: NDArray[np.int32] | None = None,
        popularity: NDArray[np.float32] | None = None,
    ) -> Catalogue:
        """A catalogue from the semantic ID of each item.

        Args:
            item_id: ids, shape (items,).
            sids: semantic IDs, shape (items, levels).
            content: number of each item's content; None for the code as the content.
            popularity: see the attribute; None for zeros.
        """
        codes, item_code = np.unique(sids, axis=0, return_inverse=True)
        item_code = item_code.reshape(-1).astype(np.int32)
        given = np.zeros(len(sids), np.float32) if popularity is None else popularity.astype(np.float32)
        known = item_code if content is None else content.astype(np.int32)
        return cls(item_id, item_code, np.ascontiguousarray(codes, np.int32), known, given)

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self.item_code)

    @cached_property
    def items_by_code(self) -> NDArray[np.int32]:
        """All items, those of the first code first, each code's most popular item first, shape (items,)."""
        return np.lexsort((np.arange(self.items), -self.popularity, self.item_code)).astype(np.int32)

    @cached_property
    def code_offsets(self) -> NDArray[np.int64]:
        """Start of each code's items in :attr:`items_by_code`, and at the end their number, shape (codes + 1,)."""
        counts = np.bincount(self.item_code, minlength=len(self.codes))
        return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)

    def save(self, folder: Path) -> None:
        """Writes the catalogue to a folder."""
        np.save(folder / CODES, self.codes)
        columns: dict[str, Any] = {"item": np.arange(self.items, dtype=np.int32), "item_id": self.item_id}
        columns |= {"code": self.item_code, "content": self.content, "popularity": self.popularity}
        pq.write_table(pa.table(columns), folder / ITEMS)

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Reads the catalogue that :meth:`save` wrote."""
        table = pq.read_table(folder / ITEMS).combine_chunks()
        code, content, popularity = (table[name].to_numpy() for name in ("code", "content", "popularity"))
        codes = np.load(folder / CODES, mmap_mode="r")
        return cls(table["item_id"].combine_chunks(), code, codes, content, popularity)
