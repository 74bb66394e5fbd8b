"""Published rankers in plain torch, as a user would write them, with inputs to score; for tests and benchmarks.mari."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from models.reparameterise.colours import Source

Tensors = dict[str, torch.Tensor]
PROFILE, TARGET, CROSS, HISTORY = "profile", "target", "cross", "history"
SOURCES = {PROFILE: Source.USER, HISTORY: Source.USER, TARGET: Source.ITEM, CROSS: Source.PAIR}


@dataclass(frozen=True, kw_only=True)
class Widths:
    """Widths of a ranker's inputs and layers.

    Attributes:
        profile: numbers of the user.
        user_fields: fields that DeepFM makes of the user's numbers.
        fields: ids of the item.
        cross: numbers of the pair.
        history: events of the user.
        embedding: width of an embedding.
        items: rows of the embedding table.
        hidden: widths of the layers.
    """

    profile: int = 24
    user_fields: int = 4
    fields: int = 2
    cross: int = 6
    history: int = 10
    embedding: int = 8
    items: int = 50
    hidden: Sequence[int] = (32, 16)


def network(inputs: int, widths: Sequence[int], outputs: int | None = 1) -> nn.Sequential:
    """Linear layers with ReLU, and a last one without; no last one for None."""
    steps: list[nn.Module] = []
    for width in widths:
        steps += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*steps, *([] if outputs is None else [nn.Linear(inputs, outputs)]))


def table(w: Widths) -> nn.Embedding:
    """The items' embedding table, with entries of the size that training gives them."""
    rows = nn.Embedding(w.items, w.embedding)
    nn.init.normal_(rows.weight, std=0.3)
    return rows


class DIN(nn.Module):
    """Deep Interest Network (Zhou et al., KDD 2018): attention by a network on ``[q, k, q - k, q * k]``."""

    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.table = table(w)
        self.attention = network(4 * w.embedding, w.hidden[-1:])
        self.head = network(w.profile + (w.fields + 1) * w.embedding + w.cross, w.hidden)

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        events, fields = self.table(history), self.table(target)
        query = fields[:, :1].expand(-1, events.shape[1], -1)
        logits = self.attention(torch.cat([query, events, query - events, query * events], dim=-1))
        logits = logits.masked_fill((history == 0)[..., None], -1e9)
        interest = (logits.softmax(1) * events).sum(1)
        return self.head(torch.cat([profile, interest, fields.flatten(1), cross], dim=-1)).squeeze(-1)


class DCNv2(nn.Module):
    """Deep and Cross Network V2 (Wang et al., WWW 2021): ``x0 * (W x + b) + x``, beside a deep network."""

    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.table = table(w)
        inputs = w.profile + (w.fields + 1) * w.embedding + w.cross
        self.crosses = nn.ModuleList(nn.Linear(inputs, inputs) for _ in range(2))
        self.deep = network(inputs, w.hidden, None)
        self.out = nn.Linear(inputs + w.hidden[-1], 1)

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        first = torch.cat([profile, self.table(history).mean(1), self.table(target).flatten(1), cross], dim=-1)
        x = first
        for layer in self.crosses:
            x = first * layer(x) + x
        return self.out(torch.cat([x, self.deep(first)], dim=-1)).squeeze(-1)


class DeepFM(nn.Module):
    """DeepFM (Guo et al., IJCAI 2017): a factorisation machine over fields, beside a deep network."""

    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.table = table(w)
        self.of_profile = nn.Linear(w.profile, w.user_fields * w.embedding)
        self.user_fields = w.user_fields
        self.first_order = nn.Linear(w.profile + w.cross, 1)
        self.deep = network((w.user_fields + 1 + w.fields) * w.embedding + w.cross, w.hidden)

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        of_user = self.of_profile(profile).view(profile.shape[0], self.user_fields, -1)
        fields = torch.cat([of_user, self.table(history).mean(1, keepdim=True), self.table(target)], dim=1)
        pairs = fields.sum(1).pow(2) - fields.pow(2).sum(1)
        linear = self.first_order(torch.cat([profile, cross], dim=-1))
        deep = self.deep(torch.cat([fields.flatten(1), cross], dim=-1))
        return (linear + 0.5 * pairs.sum(-1, keepdim=True) + deep).squeeze(-1)


class MMoE(nn.Module):
    """Multi-gate Mixture of Experts (Ma et al., KDD 2018), two tasks, with a layer norm on its inputs."""

    own: int = 0

    def __init__(self, w: Widths, tasks: int = 2, experts: int = 3) -> None:
        super().__init__()
        self.table = table(w)
        inputs = w.profile + (w.fields + 1) * w.embedding + w.cross
        self.norm = nn.LayerNorm(inputs)
        self.shared = nn.ModuleList(network(inputs, w.hidden[:1], None) for _ in range(experts))
        self.each = nn.ModuleList(network(inputs, w.hidden[:1], None) for _ in range(tasks * self.own))
        self.gates = nn.ModuleList(nn.Linear(inputs, experts + self.own) for _ in range(tasks))
        self.towers = nn.ModuleList(network(w.hidden[0], w.hidden[1:]) for _ in range(tasks))

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        parts = [profile, self.table(history).mean(1), self.table(target).flatten(1), cross]
        x = self.norm(torch.cat(parts, dim=-1))
        shared = [expert(x) for expert in self.shared]
        logits = []
        for task, (gate, tower) in enumerate(zip(self.gates, self.towers, strict=True)):
            own = [expert(x) for expert in self.each[task * self.own : (task + 1) * self.own]]
            mixed = torch.einsum("be,beh->bh", gate(x).softmax(-1), torch.stack([*shared, *own], dim=1))
            logits.append(tower(mixed))
        return torch.cat(logits, dim=-1)


class PLE(MMoE):
    """Progressive Layered Extraction (Tang et al., RecSys 2020), one level: each task has experts of its own."""

    own = 2


class Transformer(nn.Module):
    """A two-layer transformer over the history, read by attention from the target."""

    def __init__(self, w: Widths) -> None:
        super().__init__()
        self.table = table(w)
        self.position = nn.Parameter(torch.randn(w.history, w.embedding))
        layer = nn.TransformerEncoderLayer(w.embedding, 2, 2 * w.embedding, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attention = nn.MultiheadAttention(w.embedding, 2, batch_first=True)
        self.head = network(w.profile + (w.fields + 1) * w.embedding + w.cross, w.hidden)

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        events = self.encoder(self.table(history) + self.position)
        fields = self.table(target)
        seen, _ = self.attention(fields[:, :1], events, events, need_weights=False)
        return self.head(torch.cat([profile, seen[:, 0], fields.flatten(1), cross], dim=-1)).squeeze(-1)


class Fusion(nn.Module):
    """Shaped as the paper's: networks of the user alone, target attention, then experts that read everything."""

    def __init__(self, w: Widths, experts: int = 4) -> None:
        super().__init__()
        self.table = table(w)
        layer = nn.TransformerEncoderLayer(w.embedding, 2, 2 * w.embedding, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.of_profile = network(w.profile, [w.profile], None)
        self.attention = nn.MultiheadAttention(w.embedding, 2, batch_first=True)
        inputs = w.profile + (w.fields + 2) * w.embedding + w.cross
        self.experts = nn.ModuleList(network(inputs, w.hidden[:1], None) for _ in range(experts))
        self.gate = nn.Linear(inputs, experts)
        self.tower = network(w.hidden[0], w.hidden[1:])

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        events, fields = self.encoder(self.table(history)), self.table(target)
        seen, _ = self.attention(fields[:, :1], events, events, need_weights=False)
        parts = [self.of_profile(profile), events.mean(1), seen[:, 0], fields.flatten(1), cross]
        x = torch.cat(parts, dim=-1)
        outputs = torch.stack([expert(x) for expert in self.experts], dim=1)
        return self.tower((self.gate(x).softmax(-1)[..., None] * outputs).sum(1)).squeeze(-1)


class FirstLayer(nn.Module):
    """A first layer alone. With fragments, user's, item's and pair's columns alternate.

    Args:
        w: widths.
        fragments: runs that each of the three is cut into.
    """

    def __init__(self, w: Widths, fragments: int = 1) -> None:
        super().__init__()
        self.table = table(w)
        self.fragments = fragments
        self.layer = nn.Linear(w.profile + w.fields * w.embedding + w.cross, w.hidden[0])

    def pieces(self, profile: torch.Tensor, target: torch.Tensor, cross: torch.Tensor) -> list[torch.Tensor]:
        """The columns as the layer reads them."""
        sides = [x.tensor_split(self.fragments, dim=1) for x in (profile, self.table(target).flatten(1), cross)]
        return [piece for together in zip(*sides, strict=True) for piece in together]

    def forward(
        self, profile: torch.Tensor, history: torch.Tensor, target: torch.Tensor, cross: torch.Tensor
    ) -> torch.Tensor:
        return self.layer(torch.cat(self.pieces(profile, target, cross), dim=-1))


RANKERS: Mapping[str, Callable[[Widths], nn.Module]] = {
    "DIN": DIN, "DCN-v2": DCNv2, "DeepFM": DeepFM, "MMoE": MMoE, "PLE": PLE, "transformer": Transformer,
    "fusion": Fusion,
}  # fmt: skip


def ranker(name: str, widths: Widths, seed: int = 0) -> nn.Module:
    """A ranker with random weights, in evaluation mode."""
    torch.manual_seed(seed)
    return RANKERS[name](widths).eval()


def request(w: Widths, candidates: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensors, Tensors]:
    """One user's inputs, with one row, and the inputs of so many candidates."""
    draw = torch.Generator().manual_seed(seed)
    user = {
        PROFILE: torch.randn(1, w.profile, generator=draw, dtype=dtype),
        HISTORY: torch.randint(0, w.items, (1, w.history), generator=draw),
    }
    of_candidates = {
        TARGET: torch.randint(1, w.items, (candidates, w.fields), generator=draw),
        CROSS: torch.randn(candidates, w.cross, generator=draw, dtype=dtype),
    }
    return user, of_candidates


def tiled(user: Mapping[str, torch.Tensor], candidates: Mapping[str, torch.Tensor]) -> Tensors:
    """A ranker's own inputs: the user's repeated for every candidate."""
    rows = len(next(iter(candidates.values())))
    return {**{name: values.repeat(rows, *[1] * (values.ndim - 1)) for name, values in user.items()}, **candidates}
