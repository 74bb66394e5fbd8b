"""Warm start: initialises a ranker with the previous ranker's weights, matching the item table row by row."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from models.ranker.examples.targets import FIRST, UNKNOWN
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.reader import BANK

TABLE_SIZES = ("items", "codes", "texts")
TEXT_TABLES = ("text.encoder.base.", "text.encoder.domain.", "text.encoder.field.", "text.match.")
"""Tables whose rows are tokens or fields."""


def differences(shape: RankerShape, other: RankerShape) -> list[str]:
    """Names of the fields in which two shapes differ, other than the sizes of the tables."""
    one, two = (json.loads(json.dumps(asdict(s))) for s in (shape, other))
    return [name for name in one if name not in TABLE_SIZES and one[name] != two[name]]


def matched_rows(items: pa.Array, before: pa.Array) -> NDArray[np.int64]:
    """For every row of the new item table, the row of the old table to copy; new items copy the unknown item's row.

    Args:
        items: item ids of the new table, in the order of its rows.
        before: item ids of the old table, in the order of its rows.
    """
    places = pc.fill_null(pc.index_in(items, value_set=before), UNKNOWN - FIRST).to_numpy(zero_copy_only=False)
    return np.concatenate([[0, UNKNOWN], places.astype(np.int64) + FIRST])


@torch.no_grad()
def take_over(
    ranker: Ranker, last: Ranker, item_rows: NDArray[np.int64] | None, same_codes: bool, *, same_tokens: bool = True
) -> None:
    """Copies the weights of the previous ranker, which may differ only in the sizes of its tables.

    Args:
        ranker: the new ranker.
        last: the previous ranker.
        item_rows: result of :func:`matched_rows`; None keeps the new item table's random weights.
        same_codes: whether the codes kept their meaning; False keeps the new code tables' random weights.
        same_tokens: whether rows of tokens kept their meaning; False keeps the new tables' first values. New tokens
            have them in any case. The memory bank is not taken over: the weights fill it.
    """
    weights, old = ranker.state_dict(), last.state_dict()
    for name, weight in weights.items():
        if name == "item.weight":
            if item_rows is not None:
                weight.copy_(old[name][torch.from_numpy(item_rows)])
        elif name.startswith("code."):
            if same_codes:
                rows = min(len(weight), len(old[name]))
                weight[:rows] = old[name][:rows]
        elif name.removeprefix("text.") in BANK:
            continue
        elif name.startswith(TEXT_TABLES):
            if same_tokens:
                rows = min(len(weight), len(old[name]))
                weight[:rows] = old[name][:rows]
        else:
            weight.copy_(old[name])
