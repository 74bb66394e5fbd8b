"""Sums over the columns of an item alone, made once for the whole catalogue: a table that `score` maps into memory."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from models.ranker.examples.search_index import SearchIndex
from models.ranker.network.attention import TargetAttention
from models.ranker.network.ranker import Ranker
from models.ranker.serving.head import ITEM, codes_of, item_columns
from models.ranker.serving.user_attention import queries
from models.reparameterise.ranker import ReparameterisedRanker
from schemas.names import SID_COLUMNS

log = logging.getLogger("qarm")

BLOCK = 16_384
"""Items in a block while the table is made."""
CHECKED = 64
"""Rows of a table that are computed again before it is read."""
Columns = Mapping[str, torch.Tensor]


class ItemSums:
    """What a ranker computes from an item alone: queries of its attention, its vector, its part of the first layer.

    Args:
        ranker: the ranker.
        head: the rewritten ranker after its attention.
        neighbours: items of ``neighbour_item``.
    """

    def __init__(self, ranker: Ranker, head: ReparameterisedRanker, neighbours: int) -> None:
        self.ranker, self.head = ranker, head
        self.columns = item_columns(ranker.shape)
        sizes = {name: (1, neighbours) if name == "neighbour_item" else (1,) for name in self.columns}
        with torch.inference_mode():
            found = self._by_name({name: torch.zeros(size, dtype=torch.int32) for name, size in sizes.items()})
        self.shapes = {name: list(values.shape[1:]) for name, values in found.items()}

    def of(self, items: Columns) -> torch.Tensor:
        """The sums of some items, side by side; shape (n, width).

        Args:
            items: the columns :func:`models.ranker.serving.head.item_columns` of n items.
        """
        return torch.cat([values.flatten(1) for values in self._by_name(items).values()], dim=1)

    def _by_name(self, items: Columns) -> dict[str, torch.Tensor]:
        texts = self.ranker.target_texts(items)
        target = self.ranker.embed(items[ITEM], codes_of(self.ranker.shape, items), texts)
        of_attention = {
            query_of(history): queries(cast(TargetAttention, self.ranker.attention[history]), target)
            for history in self.ranker.shape.histories
        }
        return {**of_attention, **self.head.of_items(items)}

    def apart(self, sums: torch.Tensor) -> dict[str, torch.Tensor]:
        """The sums of n items by name, from shape (n, width)."""
        sizes = [int(np.prod(shape)) for shape in self.shapes.values()]
        pieces = sums.split(sizes, dim=1)
        return {
            name: piece.reshape(len(sums), *shape)
            for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)
        }

    def write(self, index: SearchIndex, folder: Path, name: str) -> None:
        """Writes the sums of all items of a search index, in its order, in blocks.

        Memory: one block. Disk: ``4 * width`` bytes an item, 1.5 KB with the settings as they come.

        Args:
            index: the search index that the ranker was trained with.
            folder: folder of the ranker.
            name: name of the ranker.
        """
        items = len(index.item_index)
        width = sum(int(np.prod(shape)) for shape in self.shapes.values())
        out = np.lib.format.open_memmap(_file(folder, name), "w+", np.float32, (items, width))
        with torch.inference_mode():
            for start in range(0, items, BLOCK):
                rows = slice(start, start + BLOCK)
                out[rows] = self.of(columns_of(index, rows, self.columns)).numpy()
        out.flush()
        _card(folder, name).write_text(json.dumps(self.shapes, indent=1), encoding="utf-8")

    def mapped(self, index: SearchIndex, folder: Path, name: str) -> NDArray[np.float32] | None:
        """The table that :meth:`write` wrote, mapped into memory; None if there is none, or one of other sums.

        The names of sums are counted as the pass makes them, so that after an update of qarm or torch a table can hold
        other sums under the same names. So some of its rows are computed again.

        Args:
            index: the search index that the ranker was trained with.
            folder: folder of the ranker.
            name: name of the ranker.
        """
        if not _file(folder, name).is_file() or not _card(folder, name).is_file():
            return None
        shapes = json.loads(_card(folder, name).read_text(encoding="utf-8"))
        table: NDArray[np.float32] = np.load(_file(folder, name), mmap_mode="r")
        if [*shapes.items()] == [*self.shapes.items()] and len(table) == len(index.item_index):
            rows = np.unique(np.linspace(0, len(table) - 1, CHECKED).astype(np.int64))
            with torch.inference_mode():
                again = self.of(columns_of(index, rows, self.columns))
            if torch.allclose(torch.from_numpy(table[rows]), again, rtol=1e-4, atol=1e-5):
                return table
        log.warning("score: the table of items in %s holds other sums; each candidate's part is computed", folder)
        return None


def query_of(history: str) -> str:
    """Name of the queries of a history's attention."""
    return f"query_{history}"


def columns_of(index: SearchIndex, rows: slice | NDArray[np.int64], names: list[str]) -> dict[str, torch.Tensor]:
    """Columns of items as a search index holds them."""
    codes = {name: index.codes[rows, level] for level, name in enumerate(SID_COLUMNS)}
    found = {ITEM: index.item_index[rows], "neighbour_item": index.neighbours[rows], **codes}
    found["text_row"] = np.arange(1, 1 + len(index.item_index), dtype=np.int32)[rows]
    return {name: torch.from_numpy(np.array(found[name])) for name in names}


def holds_table(files: Mapping[str, str], name: str) -> bool:
    """Whether an artifact of rankers holds a ranker's table of items."""
    return {_file(Path(), name).name, _card(Path(), name).name} <= files.keys()


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.items.npy"


def _card(folder: Path, name: str) -> Path:
    return folder / f"{name}.items.json"
