"""The card of a rewritten ranker: what varies with what, what was rewritten, what was not, and what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.reparameterise.colours import Colour


@dataclass(frozen=True)
class NodeCard:
    """One node of the ranker's own graph.

    Attributes:
        name: name of the node.
        operator: its ATen operator.
        colour: what its result varies with.
        rewritten: what was done with it; empty if it is computed as it was, in the stage of its colour.
        refused: why it was not rewritten; empty if nothing stood in the way.
    """

    name: str
    operator: str
    colour: Colour
    rewritten: str
    refused: str


@dataclass(frozen=True)
class Card:
    """What the pass did with a ranker.

    Multiplications are those of one request with so many candidates: of matrix products, of products entry by entry,
    and of normalisations.

    Attributes:
        candidates: candidates of the request.
        nodes: every node of the ranker's graph.
        before: multiplications of the ranker, the user repeated for every candidate.
        user_once: multiplications if what depends on the request alone is computed once, and nothing is split.
        request: multiplications of the rewritten ranker that are made once a request.
        item: multiplications that are made once an item, or once for the catalogue.
        pair: multiplications that are made once a candidate.
    """

    candidates: int
    nodes: tuple[NodeCard, ...]
    before: int
    user_once: int
    request: int
    item: int
    pair: int

    @property
    def after(self) -> int:
        """Multiplications of the rewritten ranker, with each candidate another item and no table of items."""
        return self.request + self.item + self.pair

    @property
    def with_table(self) -> int:
        """Multiplications of the rewritten ranker with a table of items."""
        return self.request + self.pair

    @property
    def refused(self) -> dict[str, str]:
        """Nodes that were not rewritten, with the operator and the reason."""
        return {node.name: f"{node.operator}: {node.refused}" for node in self.nodes if node.refused}

    def summary(self) -> Mapping[str, Any]:
        """The card as numbers and texts that can be written as JSON."""
        return {
            "candidates": self.candidates,
            "multiplications": {
                "before": self.before, "user_once": self.user_once, "after": self.after,
                "with_table": self.with_table, "request": self.request, "item": self.item, "pair": self.pair,
            },
            "nodes": [
                {"name": n.name, "operator": n.operator, "colour": _name(n.colour), "rewritten": n.rewritten,
                 "refused": n.refused}
                for n in self.nodes
            ],
        }  # fmt: skip


def _name(colour: Colour) -> str:
    return str(colour.name).lower()
