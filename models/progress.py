"""How far a long loop is. It is told to a logger, so that whoever runs the loop decides what people see."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from schemas.names import LOOPS

log = logging.getLogger(LOOPS)
log.propagate = False

Thing = TypeVar("Thing")

EVERY = 0.5
"""Least seconds between two records."""


class Progress:
    """How far a loop is.

    Args:
        what: what it does.
        total: number of its steps.
        done: steps that are done already.
        told: whether it is told at all; of several processes, one tells.
    """

    def __init__(self, what: str, total: int, done: int = 0, told: bool = True) -> None:
        self._what, self._total, self._done, self._told = what, total, done, told
        self._next = 0.0

    def advance(self) -> None:
        """Counts one step."""
        self._done += 1
        now = time.monotonic()
        if self._told and (now >= self._next or self._done == self._total):
            self._next = now + EVERY
            log.info(self._what, extra={"done": self._done, "total": self._total})


def tracked(things: Iterable[Thing], what: str, total: int) -> Iterator[Thing]:
    """Goes through things and tells how far it is."""
    progress = Progress(what, total)
    for thing in things:
        yield thing
        progress.advance()
