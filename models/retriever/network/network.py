"""The retriever: behaviours, each compressed by a Query-Former, and a decoder that writes a semantic ID by levels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.retriever.network.copying import TakenNodes
from models.retriever.network.decoder import DecoderLayer, Seen
from models.retriever.network.events import CodeVectors, EventVectors
from models.retriever.network.mixture import Mixture
from models.retriever.network.query_former import QueryFormer
from models.retriever.network.shape import RetrieverShape
from models.retriever.tree import CodeTree

Batch = Mapping[str, Tensor]
TEMPERATURE = 0.07
"""Of the contrastive loss."""
GATHER_COST = 200
"""How many products of a matrix multiplication one product with a gathered vector costs, about."""
MOST_PRODUCTS = 64_000_000
"""Most products that are made at once."""


@dataclass(frozen=True)
class Encoded:
    """What the decoder reads of a batch of users.

    Attributes:
        memory: keys and values of the behaviours, for each layer.
        valid: which vectors of the memory are no padding, shape (users, 1, 1, length).
        taken: what the users took, for the copy mechanism; None without it.
    """

    memory: tuple[Seen, ...]
    valid: Tensor
    taken: TakenNodes | None


@dataclass(frozen=True)
class Branches:
    """The children of some nodes, one after the other.

    Attributes:
        nodes: the children, shape (all children,).
        first: start of each node's children, and at the end their number, shape (n + 1,).
        log_prob: logarithm of each child's probability, given its parent and what the user did, shape (all children,).
    """

    nodes: Tensor
    first: Tensor
    log_prob: Tensor


class Retriever(nn.Module):
    """The network. The softmax of a level is over the codes that exist after the codes before, and no others.

    Args:
        shape: its shape.
        tree: the codes that it writes; :meth:`over` gives it others of the same codebook.
    """

    def __init__(self, shape: RetrieverShape, tree: CodeTree) -> None:
        super().__init__()
        self.shape, self.tree = shape, tree
        dim, levels = shape.dim, len(shape.codes)
        self.codes = CodeVectors(shape)
        self.events = EventVectors(shape)
        self.behaviours = nn.ParameterDict({name: torch.zeros(dim) for name in shape.histories.lengths})
        self.nothing = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.formers = nn.ModuleDict()
        if shape.queries:
            for name in shape.histories.lengths:
                self.formers[name] = QueryFormer(dim, shape.heads, shape.queries, shape.dropout)
            self.joint = nn.TransformerEncoderLayer(
                dim, shape.heads, 2 * dim, shape.dropout, batch_first=True, norm_first=True
            )
        self.begin = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.positions = nn.Parameter(torch.zeros(levels, dim))
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.layers))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(levels))
        self.heads = nn.ModuleList(nn.Linear(dim, dim) for _ in range(levels))
        if shape.copies:
            copies = [nn.Linear(dim, len(shape.half_lives) + 1) for _ in range(levels)]
            for copy in copies:  # at the start, what was taken often and lately is likely
                nn.init.zeros_(copy.weight)
                nn.init.ones_(copy.bias)
            self.copies = nn.ModuleList(copies)
        if shape.contrastive:
            self.tower = nn.Sequential(nn.Linear(dim, 2 * dim), nn.SiLU(), nn.Linear(2 * dim, dim))
            self.of_user = nn.Linear(dim, dim)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.begin.device

    def over(self, tree: CodeTree) -> Retriever:
        """Makes it write the codes of a tree; returns itself."""
        self.tree = tree.to(self.device)
        return self

    @property
    def mixtures(self) -> list[Mixture]:
        """The mixtures of experts."""
        return [module for module in self.modules() if isinstance(module, Mixture)]

    def encode(self, batch: Batch) -> Encoded:
        """Reads the users' behaviours.

        Args:
            batch: the columns :attr:`models.retriever.network.shape.RetrieverShape.history_columns`.
        """
        users = len(batch["recent_code"])
        vectors = [self.nothing.expand(users, 1, -1)]
        valid = [torch.ones(users, 1, dtype=torch.bool, device=self.device)]
        for name in self.shape.histories.lengths:
            events, known = self.events(self.codes, self.tree, name, batch)
            if self.shape.queries:
                events = self.formers[name](events, known)
                known = known.new_ones(users, self.shape.queries)
            vectors.append(events + self.behaviours[name])
            valid.append(known)
        memory = torch.cat(vectors, 1)
        if self.shape.queries:
            memory = self.joint(memory)
        taken = None
        if self.shape.copies:
            masses = [batch[f"taken_mass_{i}"] for i in range(len(self.shape.half_lives))]
            taken = TakenNodes.of(batch["taken_code"], masses, self.tree)
        seen = tuple(cast(DecoderLayer, layer).remember(memory) for layer in self.layers)
        return Encoded(seen, torch.cat(valid, 1)[:, None, None], taken)

    def decode(
        self, tokens: Tensor, encoded: Encoded, past: tuple[Seen, ...] | None = None
    ) -> tuple[Tensor, tuple[Seen, ...]]:
        """Runs the decoder over some tokens.

        Args:
            tokens: shape (users, groups, length, dim).
            encoded: what :meth:`encode` returned.
            past: what the call for the tokens before returned; of one group if all groups share them.

        Returns:
            Shape (users, groups, length, dim), and the keys and values of all tokens so far.
        """
        seen = []
        for place, layer in enumerate(self.layers):
            before = None if past is None else past[place]
            tokens, own = layer(tokens, encoded.memory[place], encoded.valid, before)
            seen.append(own)
        return tokens, tuple(seen)

    def first_token(self, users: int) -> Tensor:
        """The token that every semantic ID begins with, shape (users, 1, 1, dim)."""
        return self.begin.expand(users, 1, 1, -1)

    def token(self, level: int, nodes: Tensor) -> Tensor:
        """Tokens of nodes of a level, shape (…) to (…, dim)."""
        return self.codes.of_nodes(self.tree, level, nodes) + self.positions[level]

    def branches(
        self, level: int, hidden: Tensor, *, parents: Tensor, users: Tensor, encoded: Encoded
    ) -> Branches:  # fmt: skip
        """The children of nodes, and how likely each is.

        Args:
            level: level of the children, counted from 0.
            hidden: the decoder's vectors at the parents, shape (n, dim).
            parents: the nodes; 0 for the root, shape (n,).
            users: user of each, shape (n,).
            encoded: what :meth:`encode` returned.
        """
        starts, ends = self.tree.children[level][parents], self.tree.children[level][parents + 1]
        first = functional.pad(torch.cumsum(ends - starts, 0), (1, 0))
        owner = torch.repeat_interleave(torch.arange(len(parents), device=hidden.device), ends - starts)
        nodes = torch.arange(len(owner), device=hidden.device) + (starts - first[:-1])[owner]
        normed = self.norms[level](hidden)
        query = self.heads[level](normed) * self.shape.dim**-0.5
        logits = self._products(level, query, owner, nodes).float() + self.codes.bias_of(self.tree, level, nodes)
        if encoded.taken is not None:
            taken = encoded.taken.of_nodes(level, users[owner], nodes)
            logits = logits + (self.copies[level](normed).float()[owner] * taken).sum(-1)
        return Branches(nodes, first, _log_softmax(logits, owner, len(parents)))

    def _products(self, level: int, query: Tensor, owner: Tensor, nodes: Tensor) -> Tensor:
        """Product of each node's vector and its owner's query, shape (nodes,).

        A product with all nodes of a level costs less than gathering the vectors of many children one by one.
        """
        count = self.tree.nodes(level)
        if count * len(query) <= min(GATHER_COST * len(nodes), MOST_PRODUCTS):
            every = torch.arange(count, device=query.device)
            return (query @ self.codes.of_nodes(self.tree, level, every).T)[owner, nodes]
        return (query[owner] * self.codes.of_nodes(self.tree, level, nodes)).sum(-1)

    def log_prob(self, encoded: Encoded, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithm of the probability of codes for each user, by level.

        Args:
            encoded: what :meth:`encode` returned.
            codes: codes, padded with -1, shape (users, groups).

        Returns:
            Shape (n, levels), one row for each code that is no padding, in their order; and the decoder's vectors that
            the last level is predicted from, shape (n, dim).
        """
        users, groups = torch.nonzero(codes >= 0, as_tuple=True)
        begun, past = self.decode(self.first_token(len(codes)), encoded)
        root = users.new_zeros(len(codes))
        every = torch.arange(len(codes), device=self.device)
        branches = self.branches(0, begun[:, 0, 0], parents=root, users=every, encoded=encoded)
        known = codes[users, groups].long()
        nodes = [own[known] for own in self.tree.node]
        found = [branches.log_prob[branches.first[users] + nodes[0]]]
        levels = self.tree.levels
        if levels == 1:
            return torch.stack(found, -1), begun[users, 0, 0]
        filled = codes.clamp(min=0).long()
        tokens = torch.stack([self.token(level, self.tree.node[level][filled]) for level in range(levels - 1)], 2)
        hidden, _ = self.decode(tokens, encoded, past)
        for level in range(1, levels):
            at = hidden[users, groups, level - 1]
            of_level = self.branches(level, at, parents=nodes[level - 1], users=users, encoded=encoded)
            place = nodes[level] - self.tree.children[level][nodes[level - 1]]
            found.append(of_level.log_prob[of_level.first[:-1] + place])
        return torch.stack(found, -1), hidden[users, groups, -1]

    def loss(self, batch: Batch, contrastive_weight: float = 0.0) -> Tensor:
        """Next-token loss over the levels: the sum over a row's targets by the most targets, mean over the rows.

        Args:
            batch: the histories, and ``target_code``, padded with -1, shape (users, targets).
            contrastive_weight: weight of the contrastive loss between the last position and the item tower.
        """
        encoded = self.encode(batch)
        target = batch["target_code"]
        log_prob, last = self.log_prob(encoded, target)
        loss = -log_prob.sum() / target.numel()
        if contrastive_weight:
            loss = loss + contrastive_weight * self._contrastive(target, last)
        return loss

    def _contrastive(self, target: Tensor, last: Tensor) -> Tensor:
        """In-batch softmax of a row's first target among those of all rows, without the row's own others."""
        users, groups = torch.nonzero(target >= 0, as_tuple=True)
        first = torch.nonzero(groups == 0)[:, 0]
        codes = target[users[first], 0].long()
        items = functional.normalize(self.tower(self.codes.of_codes(self.tree, codes)), dim=-1)
        logits = functional.normalize(self.of_user(last[first]), dim=-1) @ items.T / TEMPERATURE
        own = (target[users[first]][:, :, None] == codes).any(1)
        own.fill_diagonal_(False)
        return functional.cross_entropy(
            logits.masked_fill(own, torch.finfo(logits.dtype).min), torch.arange(len(first), device=target.device)
        )


def _log_softmax(logits: Tensor, owner: Tensor, owners: int) -> Tensor:
    """Logarithm of the softmax within each owner's logits, which lie one after the other."""
    largest = logits.new_full((owners,), -torch.inf).scatter_reduce(0, owner, logits.detach(), "amax")
    shifted = logits - largest[owner]
    sums = logits.new_zeros(owners).index_add(0, owner, shifted.exp())
    return shifted - sums.log()[owner]
