"""Communication between the processes of one distributed training."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import distributed


@dataclass(frozen=True)
class World:
    """The group of processes that train together; by default this process alone.

    Attributes:
        rank: rank of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def of_process_group(cls) -> World:
        """The world of torch's default process group."""
        return cls(distributed.get_rank(), distributed.get_world_size())

    def gather_rows(self, rows: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Concatenates the rows of all processes by rank; every process must give the same number of rows."""
        if self.size == 1:
            return rows
        joint = {}
        for name, column in rows.items():
            parts = [torch.empty_like(column) for _ in range(self.size)]
            distributed.all_gather(parts, column.contiguous())
            joint[name] = torch.cat(parts)
        return joint

    def gather(self, values: torch.Tensor) -> torch.Tensor:
        """Concatenates the values of all processes by rank; their lengths may differ."""
        if self.size == 1:
            return values
        lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        distributed.all_gather(lengths, torch.tensor([len(values)]))
        longest = int(torch.cat(lengths).max())
        padded = values.new_zeros((longest, *values.shape[1:]))
        padded[: len(values)] = values
        parts = self.gather_rows({"padded": padded})["padded"].split(longest) if longest else (padded,) * self.size
        return torch.cat([part[: int(length)] for part, length in zip(parts, lengths, strict=True)])

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The elementwise sum over processes, computed in place."""
        if self.size > 1:
            distributed.all_reduce(values)
        return values

    def sum_sparse(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over processes of tensors with a sparse first dimension, coalesced.

        Only the rows with values are sent between processes.
        """
        values = values.coalesce()
        if self.size == 1:
            return values
        rows, touched = self.gather(values.indices()[0]), self.gather(values.values())
        return torch.sparse_coo_tensor(rows[None], touched, values.shape).coalesce()

    def total(self, value: float) -> float:
        """The sum of one number over processes."""
        return self.sum(torch.tensor(float(value), dtype=torch.float64)).item()
