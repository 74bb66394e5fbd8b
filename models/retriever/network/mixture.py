"""A sparse mixture of experts with loss-free balancing (Wang et al., arXiv 2408.15664), as OneMall's decoder has it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Mixture(nn.Module):
    """Feed-forward networks of which each token takes a few.

    The tokens are sorted by expert and multiplied with all experts' weights at once. A bias is added to an expert's
    score for the choice alone; it falls for experts with more tokens than the mean and rises for the others, so that no
    auxiliary loss pulls at the weights. Nothing is dropped: memory is the experts' number times the largest load.

    Attributes:
        bias: of each expert, shape (experts,).
        load: tokens that each expert got since whoever reads it set it to 0, shape (experts,).

    Args:
        dim: width of the tokens.
        width: hidden width of an expert.
        experts: number of experts.
        active: number of experts that each token takes.
    """

    bias: Tensor
    load: Tensor

    def __init__(self, dim: int, width: int, experts: int, active: int) -> None:
        super().__init__()
        self.active = active
        self.router = nn.Linear(dim, experts, bias=False)
        self.first = nn.Parameter(torch.randn(experts, dim, width) * dim**-0.5)
        self.second = nn.Parameter(torch.randn(experts, width, dim) * width**-0.5)
        self.register_buffer("bias", torch.zeros(experts))
        self.register_buffer("load", torch.zeros(experts), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """The weighted sum of each token's experts.

        Args:
            tokens: shape (n, dim).

        Returns:
            Shape (n, dim).
        """
        scores = torch.sigmoid(self.router(tokens).float())
        chosen = (scores.detach() + self.bias).topk(self.active, dim=-1).indices
        weights = scores.gather(1, chosen)
        weights = (weights / weights.sum(-1, keepdim=True)).to(tokens.dtype)
        expert = chosen.flatten()
        load = torch.bincount(expert, minlength=len(self.bias))
        self.load += load
        order = torch.argsort(expert, stable=True)
        first = torch.cumsum(load, 0) - load
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(order), device=order.device) - first[expert[order]]
        room = int(load.max()) if len(tokens) else 0
        place = expert * room + rank
        padded = tokens.new_zeros(len(self.bias) * room, tokens.shape[1])
        padded = padded.index_copy(0, place, tokens.repeat_interleave(self.active, 0))
        hidden = functional.silu(
            torch.bmm(padded.view(len(self.bias), room, tokens.shape[1]), self.first.to(tokens.dtype))
        )
        found = torch.bmm(hidden, self.second.to(tokens.dtype)).flatten(0, 1).index_select(0, place)
        return (found.view(len(tokens), self.active, tokens.shape[1]) * weights[..., None]).sum(1)

    def balance(self, load: Tensor, rate: float) -> None:
        """Moves the bias by the sign of each load's distance from the mean load.

        Args:
            load: tokens of each expert in the last step, summed over processes, shape (experts,).
            rate: how far the bias moves.
        """
        self.bias += rate * torch.sign(load.mean() - load)


class Dense(nn.Module):
    """The feed-forward of a decoder without a mixture.

    Args:
        dim: width of the tokens.
        width: hidden width.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(dim, width, bias=False), nn.Linear(width, dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Shape (n, dim) to (n, dim)."""
        return self.second(functional.silu(self.first(tokens)))
