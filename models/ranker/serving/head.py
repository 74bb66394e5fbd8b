"""What a ranker computes after its attention, rewritten by the pass of :mod:`models.reparameterise`."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import cast

import torch
from torch import nn

from models.ranker.network.attention import TargetAttention
from models.ranker.network.experts import Heads
from models.ranker.network.numbers import PiecewiseLinear
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.reader import MATCHES
from models.ranker.serving.inputs import Lengths, drawn, inputs_of
from models.ranker.serving.sources import sources
from models.reparameterise.colours import Source
from models.reparameterise.costs import Costs
from models.reparameterise.ranker import ReparameterisedRanker
from models.reparameterise.reparameterise import reparameterise
from schemas.feature import Reads
from schemas.names import SID_COLUMNS

ITEM = "item"
"""Row of the target in the item table, that of the unknown item where the target has too few events."""
NUMBERS = "numbers"
"""All numeric inputs of the head in one matrix, see :meth:`models.ranker.network.ranker.Ranker.numeric_inputs`."""
USER_TEXTS = "user_texts"
"""The user by the texts of the recent events, see :meth:`models.ranker.network.ranker.Ranker.user_texts`."""
COSTS = Costs(candidates=1_000, items_once=True)


class AfterAttention(nn.Module):
    """A ranker from the weighted values of its attention on, with each input as an argument of its own.

    A number whose bins were never reached in training is encoded by 0 in every row, and so are the bins that a number
    lacks. The columns of the first layer that read them are left out.

    Args:
        ranker: the ranker.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        self.ranker = ranker
        self.bins = FilledBins(ranker.numbers)
        self.head = _without_empty_bins(ranker.head, ranker.numbers)

    def forward(self, **columns: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n, tasks)."""
        ranker = self.ranker
        texts = ranker.target_texts(columns)
        target = ranker.embed(columns[ITEM], codes_of(ranker.shape, columns), texts)
        seen = [_attention(ranker, name).output(columns[values_of(name)]) for name in ranker.shape.histories]
        of_texts = ranker.text_parts(texts, columns.get(USER_TEXTS))
        of_matches = [columns[matches_of(name)] for name in matched_histories(ranker)]
        parts = ranker.head_inputs(columns, target, seen, [*of_texts, *of_matches])
        return self.head(torch.cat([*parts, self.bins(columns[NUMBERS])], dim=-1))


class FilledBins(nn.Module):
    """The degrees to which numbers fill their bins, without the bins that no number fills, and without the mean.

    Args:
        numbers: the encoding.
    """

    def __init__(self, numbers: PiecewiseLinear) -> None:
        super().__init__()
        number, place = torch.nonzero(numbers.slope, as_tuple=True)
        self.register_buffer("number", number)
        self.register_buffer("begin", numbers.begin[number, place])
        self.register_buffer("slope", numbers.slope[number, place])

    number: torch.Tensor
    begin: torch.Tensor
    slope: torch.Tensor

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Encodes rows of numbers, shape (n, numbers); shape (n, bins in use)."""
        return ((numbers.index_select(1, self.number) - self.begin) * self.slope).clamp(0, 1)


def _without_empty_bins(head: Heads, numbers: PiecewiseLinear) -> Heads:
    """A copy of a head whose first layers read the bins in use alone; the mean goes into their bias."""
    head = deepcopy(head)
    for steps in [part for part in head.modules() if isinstance(part, nn.Sequential)]:
        for place, step in enumerate(steps):
            if isinstance(step, nn.Dropout):
                steps[place] = nn.Identity()
    used = (numbers.slope != 0).flatten()
    for layer in (*(expert[0] for expert in (*head.shared, *head.own)), *head.gates):
        weight, of_bins = layer.weight.data, layer.weight.data[:, -numbers.width :]
        layer.bias.data = layer.bias.data - of_bins @ numbers.mean.flatten()
        layer.weight.data = torch.cat([weight[:, : -numbers.width], of_bins[:, used]], dim=1)
    return head


def _attention(ranker: Ranker, history: str) -> TargetAttention:
    return cast(TargetAttention, ranker.attention[history])


def values_of(history: str) -> str:
    """Name of the input that holds the weighted values of a history."""
    return f"values_{history}"


def matches_of(history: str) -> str:
    """Name of the input that holds what the head reads of a history's matches."""
    return f"matches_{history}"


def matched_histories(ranker: Ranker) -> list[str]:
    """The histories of which the head reads matches of texts."""
    return [*ranker.shape.histories] if ranker.text is not None and ranker.text.shape.matches else []


def codes_of(shape: RankerShape, columns: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """The targets' codes by level; empty if the ranker does not use codes."""
    return [columns[name] for name in SID_COLUMNS] if shape.uses("codes") else []


def item_columns(shape: RankerShape) -> list[str]:
    """Inputs of :class:`AfterAttention` that are the item's alone."""
    return [ITEM, *(f.name for f in shape.features if f.reads is Reads.ID and f.name != "item_index")]


def rewritten(ranker: Ranker, neighbours: int) -> ReparameterisedRanker:
    """The ranker after its attention, with what is the user's computed once and what is the item's once a night.

    The user's own number, the length of the history, stays among the pair's numbers: to split off its 8 columns of the
    first layer would cost more calls than it saves multiplications.

    Args:
        ranker: a ranker in evaluation mode, without a search of its own.
        neighbours: items of ``neighbour_item``.
    """
    shape = ranker.shape
    inputs = inputs_of(shape, Lengths(recent=1, found=1, neighbours=neighbours))
    user, asked = drawn(inputs, 3, seed=0)
    example = {name: values.repeat(3, *[1] * (values.ndim - 1)) for name, values in user.items()} | asked
    of_column = sources(shape, one_day=False)
    names = [feature.name for feature in shape.features if not feature.numbers and feature.name != "item_index"]
    width = _attention(ranker, shape.histories[0]).output.in_features
    own = {values_of(history): torch.randn(3, width) for history in shape.histories}
    own[NUMBERS] = torch.rand(3, len(ranker.as_logarithms))
    own |= {matches_of(history): torch.rand(3, MATCHES) for history in matched_histories(ranker)}
    of_own = dict.fromkeys(own, Source.PAIR)
    if ranker.text is not None and ranker.text.shape.user:
        own[USER_TEXTS] = torch.randn(1, ranker.text.shape.dim).expand(3, -1).contiguous()
        of_own[USER_TEXTS] = Source.USER
    return reparameterise(
        AfterAttention(ranker).eval(),
        {ITEM: example["item_index"], **{name: example[name] for name in names}, **own},
        {ITEM: Source.ITEM, **{name: of_column[name] for name in names}, **of_own},
        COSTS,
    )
