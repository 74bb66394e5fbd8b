"""Beam search over the tree of codes, for many users at once."""

from __future__ import annotations

import torch
from torch import Tensor

from models.retriever.network.decoder import Seen
from models.retriever.network.network import Branches, Encoded, Retriever


@torch.inference_mode()
def beam_search(network: Retriever, encoded: Encoded, users: int, beam: int) -> tuple[Tensor, Tensor]:
    """The most probable codes of each user; each is a code of the tree, as only children of its nodes are ever chosen.

    A beam as wide as the tree ranks all of its codes exactly. Memory: the users times the children of all of a user's
    kept nodes, 4 bytes each.

    Args:
        network: the network, in evaluation mode.
        encoded: the users' behaviours.
        users: number of users.
        beam: nodes kept at each level.

    Returns:
        Codes, padded with -1, and their logarithms of probability, padded with -inf; each of shape (users, beam).
    """
    every = torch.arange(users, device=network.device)
    hidden, past = network.decode(network.first_token(users), encoded)
    root = torch.zeros(users, 1, dtype=torch.int64, device=network.device)
    nodes, scores = root, torch.zeros(users, 1, device=network.device)
    for level in range(network.tree.levels):
        if level:
            hidden, past = network.decode(network.token(level - 1, nodes.clamp(min=0))[:, :, None], encoded, past)
        of, place = torch.nonzero(nodes >= 0, as_tuple=True)
        at, parents = hidden[of, place, -1], nodes[of, place]
        branches = network.branches(level, at, parents=parents, users=of, encoded=encoded)
        kept, scores, parent = _best(branches, scores[of, place], of, users=users, beam=beam)
        if level:
            chosen = place.new_zeros(users, scores.shape[1])
            chosen[parent >= 0] = place[parent[parent >= 0]]
            past = tuple(_chosen(seen, every, chosen) for seen in past)
        nodes = kept
    if nodes.shape[1] < beam:
        missing = (0, beam - nodes.shape[1])
        nodes = torch.nn.functional.pad(nodes, missing, value=-1)
        scores = torch.nn.functional.pad(scores, missing, value=-torch.inf)
    return nodes, scores


def _best(
    branches: Branches, scores: Tensor, of: Tensor, *, users: int, beam: int
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """The best children of each user: nodes, logarithms of probability, and the places of their parents."""
    sizes = branches.first[1:] - branches.first[:-1]
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=of.device), sizes)
    totals = branches.log_prob + scores[owner]
    user = of[owner]
    each = torch.bincount(user, minlength=users)
    starts = torch.cumsum(each, 0) - each
    widest = int(each.max()) if users else 0
    table = totals.new_full((users, widest), -torch.inf)
    table[user, torch.arange(len(user), device=of.device) - starts[user]] = totals
    best, place = table.topk(min(beam, widest), dim=1)
    flat = (starts[:, None] + place).clamp(max=max(len(user) - 1, 0))
    there = best > -torch.inf
    return torch.where(there, branches.nodes[flat], -1), best, torch.where(there, owner[flat], -1)


def _chosen(seen: Seen, users: Tensor, groups: Tensor) -> Seen:
    """Keys and values of the chosen groups of each user."""
    return Seen(seen.keys[users[:, None], groups], seen.values[users[:, None], groups])
