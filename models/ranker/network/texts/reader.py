"""What a ranker reads of item texts: those of targets are encoded in training, all others come from a memory bank.

Encoding a text takes far longer than a look-up, and a batch holds hundreds of times more events than targets. So only
the targets of a training batch are encoded, with gradients, and their vectors are written to the bank; the history, and
validation and serving for all, read the bank alone (SARM's asymmetric deployment).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn.functional import embedding

from models.ranker.network.texts.arrays import ItemTexts, field_values
from models.ranker.network.texts.encoder import START, TokenEncoder
from models.ranker.network.texts.layers import Layer
from models.ranker.network.texts.shape import TextShape

BLOCK = 4096
"""Contents that are encoded at once when the bank is filled."""
BANK = ("bank", "bank_read", "values", "content_of_row", "row_of_index")
"""What serving needs in place of tokens."""
MATCHES = 16
"""Width of what the head reads of the fields in which events and target have the same value."""


class TextReader(nn.Module):
    """The texts of targets, of events, and of the user.

    Attributes:
        bank: the vector of every content, shape (contents, width); row 0, no text, is zeros.
        bank_read: what each item's embedding reads of its encoded tokens, by text row, shape (text rows, width); one
            row of zeros if items do not read.
        values: see :func:`models.ranker.network.texts.arrays.field_values`; one row of zeros if the head reads no
            matches.
        content_of_row, row_of_index: see :class:`models.ranker.network.texts.arrays.ItemTexts`.

    Args:
        shape: what is read and how.
        sizes: see :attr:`models.ranker.network.texts.arrays.ItemTexts.sizes`.
        items: rows of the ranker's item table.
        item_dim: width of the ranker's item table.
        width: width of the ranker's targets and events.
        histories: the histories that the ranker attends to.
        tasks: number of tasks.
    """

    bank: torch.Tensor
    bank_read: torch.Tensor
    values: torch.Tensor
    content_of_row: torch.Tensor
    row_of_index: torch.Tensor
    tokens: torch.Tensor
    index_of_row: torch.Tensor

    def __init__(
        self,
        shape: TextShape,
        sizes: Sequence[int],
        *,
        items: int,
        item_dim: int,
        width: int,
        histories: Sequence[str],
        tasks: int,
    ) -> None:
        super().__init__()
        contents, base, domains, fields, rows, length = sizes
        self.shape = shape
        self.encoder = TokenEncoder(shape, base, domains, fields, length=length)
        self.to_item = nn.Linear(shape.dim, width, bias=False)
        nn.init.normal_(self.to_item.weight, std=START)
        if shape.reading:
            self.query = nn.Linear(item_dim, shape.dim)
            self.read = nn.Linear(shape.dim, shape.dim)
        if shape.user:
            self.of_user = Layer(shape.dim, shape.heads)
        self.match = nn.ModuleDict({name: nn.Embedding(fields, MATCHES) for name in histories if shape.matches})
        if shape.auxiliary:
            parts = 3 if shape.user else 1
            self.alone = nn.Sequential(nn.Linear(parts * shape.dim, shape.dim), nn.ReLU(), nn.Linear(shape.dim, tasks))
        self.register_buffer("bank", torch.zeros(contents, shape.dim))
        self.register_buffer("bank_read", torch.zeros(rows if shape.reading else 1, shape.dim))
        self.register_buffer("values", torch.zeros((contents, fields) if shape.matches else (1, 1), dtype=torch.int32))
        self.register_buffer("content_of_row", torch.zeros(rows, dtype=torch.int32))
        self.register_buffer("row_of_index", torch.zeros(items, dtype=torch.int32))
        self.register_buffer("tokens", torch.zeros((0, 3, length), dtype=torch.int32), persistent=False)
        self.register_buffer("index_of_row", torch.zeros(0, dtype=torch.int32), persistent=False)

    @property
    def width(self) -> int:
        """Number of columns that the ranker's head reads."""
        return self.shape.dim * (3 if self.shape.user else 1) + MATCHES * len(self.match)

    def open(self, texts: ItemTexts) -> None:
        """Takes the tokens that training and :meth:`fill` encode; serving needs none."""
        self.tokens = torch.from_numpy(np.array(texts.of.tokens)).to(self.bank.device)
        self.index_of_row = torch.from_numpy(np.array(texts.index_of_row)).to(self.bank.device)
        if self.shape.matches:
            self.values.copy_(torch.from_numpy(field_values(texts.of)))
        self.content_of_row.copy_(torch.from_numpy(np.array(texts.content_of_row)))
        self.row_of_index.copy_(torch.from_numpy(np.array(texts.row_of_index)))

    @torch.no_grad()
    def fill(self, items: nn.Embedding) -> None:
        """Encodes every content into the bank, block by block.

        Args:
            items: the ranker's item table, which reads the encoded tokens.
        """
        before = self.training
        self.eval()
        for start in range(0, len(self.tokens), BLOCK):
            self.bank[start : start + BLOCK] = self.encoder(self.tokens[start : start + BLOCK])[0]
        if self.shape.reading:
            for start in range(0, len(self.content_of_row), BLOCK):
                rows = slice(start, start + BLOCK)
                _, encoded, there = self.encoder(self.tokens[self.content_of_row[rows]])
                self.bank_read[rows] = self._read(items(self.index_of_row[rows]), encoded, there)
        self.train(before)

    def encoded(self, rows: torch.Tensor, items: nn.Embedding) -> torch.Tensor:
        """Encodes the texts of a training batch's targets, each content once, and writes them to the bank.

        Args:
            rows: ``text_row`` of each target, shape (batch,).
            items: the ranker's item table, which reads the encoded tokens.

        Returns:
            Shape (batch, width).
        """
        content = embedding(rows, self.content_of_row[:, None]).squeeze(-1)
        different, place = content.unique(return_inverse=True)
        vectors, tokens, there = self.encoder(self.tokens[different])
        with torch.no_grad():
            self.bank[different] = vectors.detach().to(self.bank.dtype)
        found = vectors[place]
        if self.shape.reading:
            own = self._read(
                items(embedding(rows, self.index_of_row[:, None]).squeeze(-1)), tokens[place], there[place]
            )
            with torch.no_grad():
                self.bank_read[rows] = own.detach().to(self.bank_read.dtype)
            found = found + own
        return found

    def _read(self, ids: torch.Tensor, tokens: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """What items read of their encoded tokens (target-aware reading), shape (n, width); zeros for no text."""
        logits = (self.query(ids)[:, None] * tokens).sum(-1) / tokens.shape[-1] ** 0.5
        weights = logits.masked_fill(~there, -1e9).softmax(-1)
        return self.read((weights[..., None] * tokens).sum(1)) * there.any(1, keepdim=True)

    def of_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """The bank's vectors of items by ``text_row``, shape (..., width)."""
        found = embedding(embedding(rows, self.content_of_row[:, None]).squeeze(-1), self.bank)
        return found + embedding(rows, self.bank_read) if self.shape.reading else found

    def of_items(self, index: torch.Tensor) -> torch.Tensor:
        """The bank's vectors of items by row of the ranker's item table, shape (..., width)."""
        return self.of_rows(embedding(index, self.row_of_index[:, None]).squeeze(-1))

    def of_history(self, events: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """The user by the texts of events: one transformer layer without order, then the mean; shape (batch, width).

        Args:
            events: vectors of the events' texts, shape (batch, length, width).
            there: False for padding, shape (batch, length).
        """
        some = there.any(1, keepdim=True)
        seen = self.of_user(events, there | ~some) * there[..., None]
        return seen.sum(1) / there.sum(1, keepdim=True).clamp(min=1)

    def values_of_rows(self, rows: torch.Tensor) -> torch.Tensor:
        """Values of the fields of items by ``text_row``, shape (..., fields)."""
        return embedding(embedding(rows, self.content_of_row[:, None]).squeeze(-1), self.values)

    def values_of_items(self, index: torch.Tensor) -> torch.Tensor:
        """Values of the fields of items by row of the ranker's item table, shape (..., fields)."""
        return self.values_of_rows(embedding(index, self.row_of_index[:, None]).squeeze(-1))

    def matched(self, history: str, target: torch.Tensor, events: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
        """The shares of a history's events that have the target's value, by field, mixed; shape (batch, MATCHES).

        Args:
            history: name of the history.
            target: values of the targets' fields, shape (batch, fields).
            events: values of the events' fields, shape (batch or 1, length, fields).
            there: False for padding, shape (batch or 1, length).
        """
        same = (events == target[:, None]) & (target[:, None] > 0) & there[..., None]
        shares = same.sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return shares @ cast(nn.Embedding, self.match[history]).weight

    def parts(self, target: torch.Tensor, user: torch.Tensor | None) -> list[torch.Tensor]:
        """What the ranker's head reads.

        Args:
            target: vectors of the targets' texts, shape (batch, width).
            user: result of :meth:`of_history`; None if the ranker does not read the user's texts.
        """
        return [target] if user is None else [target, user, user * target]

    def logits_alone(self, parts: Sequence[torch.Tensor]) -> torch.Tensor:
        """What the texts alone predict, shape (batch, tasks)."""
        found: torch.Tensor = self.alone(torch.cat(list(parts), dim=-1))
        return found
