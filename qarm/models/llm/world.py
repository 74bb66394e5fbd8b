"""The processes that train together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import distributed

from qarm.models.llm.alignment_batch import JOINT


@dataclass(frozen=True)
class World:
    """This process's place among those of one training; alone where torch's process group is not set up.

    Attributes:
        rank: of this process.
        size: processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_process_group(cls) -> World:
        """The world that torch's process group spans."""
        return cls(distributed.get_rank(), distributed.get_world_size())

    def gather_rows(self, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The joint columns of all processes' rows, in the order of their ranks; as many rows each."""
        mine = {name: rows[name] for name in JOINT}
        if self.size == 1:
            return mine
        joint = {}
        for name, column in mine.items():
            parts = [torch.empty_like(column) for _ in range(self.size)]
            distributed.all_gather(parts, column.contiguous())
            joint[name] = torch.cat(parts)
        return joint

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over processes."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def total(self, value: float) -> float:
        """The sum of one number over processes."""
        return self.sum(torch.tensor(float(value), dtype=torch.float64)).item()
