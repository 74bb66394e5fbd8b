"""Embeds semantic IDs: by a table for each level, or by a table for each prefix."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from models.ranker.network.id_tables import id_table

ROUND, MIX = -7_046_029_254_386_353_131, -4_658_895_280_553_007_687
"""The odd constants of splitmix64, as signed numbers."""


class LevelTables(nn.ModuleList):
    """A table for each level; the vectors of a semantic ID's codes stand side by side.

    Args:
        codes: rows of each level's table, with padding; none if the ranker does not read codes.
        width: width of a table.
    """

    def __init__(self, codes: Sequence[int], width: int) -> None:
        super().__init__(id_table(size, width) for size in codes)

    def forward(self, codes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Vectors of semantic IDs, by level; each of shape (..., width).

        Args:
            codes: code of each level, 0 for none, each of shape (...).
        """
        return [table(code) for table, code in zip(self, codes, strict=True)]


class PrefixTables(nn.ModuleList):
    """A table for each prefix, the first code, the first two and so on; a semantic ID is the sum of its prefixes.

    A second code means another thing below every first code, which a table for each level cannot tell apart (prefix
    n-grams; arXiv 2504.02137). Prefixes of two and more codes share the rows of their table by hash.

    Args:
        codes: number of codes of each level, with padding.
        width: width of a semantic ID's vector.
        rows: rows of the table of each prefix but the first, with padding.
    """

    def __init__(self, codes: Sequence[int], width: int, rows: int) -> None:
        super().__init__(id_table(rows if level else size, width) for level, size in enumerate(codes))
        self.rows = rows

    def forward(self, codes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Vectors of semantic IDs, the only entry; shape (..., width).

        Args:
            codes: code of each level, 0 for none, each of shape (...).
        """
        places = self.places(codes)
        return [torch.stack([table(place) for table, place in zip(self, places, strict=True)]).sum(0)]

    def places(self, codes: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Row of each prefix in its table, 0 if one of its codes is none."""
        places, there = [codes[0].long()], codes[0] > 0
        mixed = _mixed(torch.zeros_like(places[0]), codes[0])
        for code in codes[1:]:
            mixed, there = _mixed(mixed, code), there & (code > 0)
            places.append(torch.where(there, 1 + mixed.remainder(self.rows - 1), 0))
        return places


def _mixed(before: torch.Tensor, code: torch.Tensor) -> torch.Tensor:
    """A hash of a prefix and one more code. It knows no level's size, so it stays as new items bring new codes."""
    mixed = (before + code + ROUND) * MIX  # int64 wraps
    mixed = (mixed ^ (mixed >> 29)) * ROUND
    return mixed ^ (mixed >> 32)
