"""Colours: what a tensor of a ranker varies with, and the stage in which it is therefore computed."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, Flag, IntEnum


class Colour(Flag):
    """What a tensor varies with, among the candidates of one request.

    The colours form a lattice. Its bottom is ``CONSTANT``, its top ``PAIR``. A request has one user and one moment, so
    what depends on these two alone still has one row for all candidates; everything else that joins two sources is a
    pair's. This is the graph colouring of MaRI (section 3) as a dataflow analysis.
    """

    CONSTANT = 0
    USER = 1
    MOMENT = 2
    REQUEST = 3
    ITEM = 4
    PAIR = 15

    def joined(self, other: Colour) -> Colour:
        """Colour of what is computed from tensors of both colours."""
        both = self | other
        return Colour.PAIR if both & Colour.ITEM and both != Colour.ITEM else both


class Source(Enum):
    """Where an input of the ranker comes from; the value is its colour."""

    USER = Colour.USER
    MOMENT = Colour.MOMENT
    ITEM = Colour.ITEM
    PAIR = Colour.PAIR


class Stage(IntEnum):
    """When a tensor is computed: with the model, once a request, once an item, or once a candidate."""

    CONSTANT = 0
    REQUEST = 1
    ITEM = 2
    PAIR = 3

    @property
    def repeats(self) -> bool:
        """Whether a tensor of this stage has a row for each item or candidate, and not one row."""
        return self >= Stage.ITEM


def stage_of(colour: Colour) -> Stage:
    """The stage in which a tensor of a colour is computed."""
    if colour == Colour.CONSTANT:
        return Stage.CONSTANT
    if colour in Colour.REQUEST:
        return Stage.REQUEST
    return Stage.ITEM if colour == Colour.ITEM else Stage.PAIR


def join_stages(stages: Iterable[Stage]) -> Stage:
    """The stage in which something is computed from tensors of these stages."""
    found = set(stages)
    if {Stage.REQUEST, Stage.ITEM} <= found:
        return Stage.PAIR
    return max(found, default=Stage.CONSTANT)
