"""The ranker as the pass of :mod:`models.reparameterise` takes it: its inputs by name, and where each comes from."""

from __future__ import annotations

import torch
from torch import nn

from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.reparameterise.colours import Source
from schemas.feature import Reads
from schemas.features import COUNTED, FEATURES, OF_USER


class ByColumns(nn.Module):
    """A ranker that takes each column as an argument of its own.

    Args:
        ranker: the ranker.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker

    def forward(self, **columns: torch.Tensor) -> torch.Tensor:
        """Logits, shape (batch, tasks)."""
        return self.ranker(columns)


def sources(shape: RankerShape, *, one_day: bool) -> dict[str, Source]:
    """Where each column that a ranker reads comes from.

    Args:
        shape: the ranker's shape.
        one_day: whether all requests are of one day, so that what is counted over all users is the item's alone.
    """
    of_user = {feature.name: Source.MOMENT if feature.reads is Reads.CATEGORY else Source.USER for feature in FEATURES}
    of_item = {feature.name for feature in FEATURES if feature.reads is Reads.ID} | (set(COUNTED) if one_day else set())
    found = {}
    for name in shape.columns:
        if name.startswith("label_"):
            continue
        if name in OF_USER:
            found[name] = of_user[name]
        elif name.startswith("recent_") or (name.startswith("found_") and shape.search != "done"):
            found[name] = Source.USER  # a search of the ranker's own reads the same long history for all candidates
        else:
            found[name] = Source.ITEM if name in of_item else Source.PAIR
    return found
