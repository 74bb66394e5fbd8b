"""Encodes the tokens of item texts into one vector each (SARM, section on the anchors' encoder)."""

from __future__ import annotations

import torch
from torch import nn

from models.ranker.network.texts.arrays import BASE, DOMAIN, FIELD, ItemTokens
from models.ranker.network.texts.layers import Layer, rotations
from models.ranker.network.texts.shape import TextShape

START = 0.05
"""Standard deviation of the tables' first values, that of the ranker's other tables."""


class Gate(nn.Module):
    """Adds a domain token to the base token h that it covers: ``h + alpha W_V e``, one alpha for each token.

    ``alpha = sigmoid(rms(W_K e) . rms(h) / sqrt(d))``, where rms divides by the root of the mean square (SARM's
    dual-token gate).

    Args:
        width: width of the tokens.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        nn.init.eye_(self.value.weight)

    def forward(self, base: torch.Tensor, domain: torch.Tensor) -> torch.Tensor:
        """Base tokens with their domain tokens; both of shape (..., width), a domain token of zeros adds nothing."""
        return base + self.alpha(base, domain) * self.value(domain)

    def alpha(self, base: torch.Tensor, domain: torch.Tensor) -> torch.Tensor:
        """The gate, 0 to 1, shape (..., 1)."""
        logit = (_rms(self.key(domain)) * _rms(base)).sum(-1, keepdim=True) / base.shape[-1] ** 0.5
        return torch.sigmoid(logit)


def _rms(values: torch.Tensor) -> torch.Tensor:
    return values * (values.square().mean(-1, keepdim=True) + 1e-6).rsqrt()


class TokenEncoder(nn.Module):
    """Tables of base tokens, domain tokens and fields, and what makes one vector of a text's tokens.

    Args:
        shape: what is read and how.
        base: rows of the table of base tokens.
        domains: rows of the table of domain tokens.
        fields: rows of the table of fields.
        length: tokens of a text.
    """

    positions: torch.Tensor

    def __init__(self, shape: TextShape, base: int, domains: int, fields: int, *, length: int) -> None:
        super().__init__()
        self.shape = shape
        self.base = _table(base, shape.dim)
        self.field = _table(fields, shape.dim)
        if shape.gate:
            self.domain = _table(domains, shape.dim)
            self.gate = Gate(shape.dim)
        deep = shape.encoder == "transformer"
        self.layers = nn.ModuleList(Layer(shape.dim, shape.heads) for _ in range(shape.layers if deep else 0))
        if deep:
            self.first = nn.Parameter(torch.randn(shape.dim) * START)
            self.last = nn.LayerNorm(shape.dim)
        self.register_buffer("positions", rotations(1 + length, shape.dim // shape.heads), persistent=False)

    @torch.no_grad()
    def begin(self, of: ItemTokens) -> None:
        """Sets the base tokens to what the language model knows of them, scaled as the ranker's other tables are."""
        given = torch.from_numpy(of.vectors[1:, : self.shape.dim].copy())
        if given.numel():
            width = given.shape[1]
            self.base.weight[1:, :width] = given * (START / given.std().clamp(min=1e-6))

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Encodes texts.

        Args:
            tokens: see :attr:`models.ranker.network.texts.arrays.ItemTokens.tokens`, shape (n, 3, length).

        Returns:
            A vector of each text, zeros for no text, shape (n, width); the encoded tokens, shape (n, length, width);
            and which of them are there, shape (n, length).
        """
        there = tokens[:, BASE] > 0
        any_there = there.any(1, keepdim=True)
        if self.training and self.shape.dropout:
            kept = there & (torch.rand(there.shape, device=there.device) >= self.shape.dropout)
            there = torch.where(kept.any(1, keepdim=True), kept, there)
        values = self.base(tokens[:, BASE]) + self.field(tokens[:, FIELD])
        if self.shape.gate:
            values = self.gate(values, self.domain(tokens[:, DOMAIN]))
        if self.shape.encoder == "mean":
            mean = (values * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
            return mean, values, there
        values = torch.cat([self.first.expand(len(tokens), 1, -1), values], dim=1)
        seen = torch.cat([there.new_ones(len(tokens), 1), there], dim=1)
        for layer in self.layers:
            values = layer(values, seen, self.positions[:, : values.shape[1]])
        values = self.last(values)
        return values[:, 0] * any_there, values[:, 1:], there


def _table(rows: int, width: int) -> nn.Embedding:
    table = nn.Embedding(rows, width, padding_idx=0)
    nn.init.normal_(table.weight, std=START)
    nn.init.zeros_(table.weight[0])
    return table
