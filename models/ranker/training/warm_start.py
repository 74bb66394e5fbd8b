"""Last night's weights for tonight's ranker: tables row by row, all else as it is."""

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

TABLE_SIZES = ("items", "codes")


def differences(shape: RankerShape, other: RankerShape) -> list[str]:
    """Fields in which two shapes differ, the tables' sizes aside."""
    one, two = (json.loads(json.dumps(asdict(s))) for s in (shape, other))
    return [name for name in one if name not in TABLE_SIZES and one[name] != two[name]]


def matched_rows(items: pa.Array, before: pa.Array) -> NDArray[np.int64]:
    """The row of last night's item table for every row of tonight's; new items begin as the unknown one.

    Args:
        items: tonight's item ids, in the order of their rows.
        before: last night's.
    """
    places = pc.fill_null(pc.index_in(items, value_set=before), UNKNOWN - FIRST).to_numpy(zero_copy_only=False)
    return np.concatenate([[0, UNKNOWN], places.astype(np.int64) + FIRST])


@torch.no_grad()
def take_over(ranker: Ranker, last: Ranker, item_rows: NDArray[np.int64] | None, same_codes: bool) -> None:
    """Gives a ranker the weights of one of the same shape but for the tables' sizes.

    Args:
        ranker: takes them.
        last: whose they are.
        item_rows: row of its item table for every row of the ranker's; None where none is the same: the table begins
            anew.
        same_codes: whether the codes mean what they meant; else their tables begin anew.
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
        else:
            weight.copy_(old[name])
