"""Negatives as a retrieval would propose them: partners, by mined pairs, of what the user took last."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.ranker.examples.pool import Arrays, Drawing, Pool, PoolItems
from schemas.names import PAIR_SOURCES

LATELY = 50
"""Number of last events whose partners are candidates."""


class Candidates(Pool):
    """Targets of mined pairs whose trigger is among the user's last events; first an event is drawn, then its pair.

    The pairs are those of the search index: of the period that pairs are fitted on, the best triggers of each target.
    """

    name = "candidates"
    meaning = "partners, by mined pairs, of the user's last events, that the user does not take at that moment"

    @classmethod
    def prepare(cls, items: PoolItems) -> Arrays:
        """The targets of every trigger, concatenated, and where each trigger's begin."""
        count = len(items.category)
        pairs = np.diff(items.triggers.start)
        targets = np.repeat(np.tile(np.arange(count, dtype=np.int32), len(PAIR_SOURCES)), pairs)
        counts = np.bincount(items.triggers.rows, minlength=count)
        order = np.argsort(items.triggers.rows, kind="stable")
        return {"start": np.concatenate([[0], np.cumsum(counts)]), "rows": targets[order]}

    @classmethod
    def draw(cls, of: Drawing, which: NDArray[np.int64], attempt: int) -> NDArray[np.int64]:
        """Targets of pairs."""
        held, earlier = of.index.pools[cls.name], of.earlier[which]
        last = earlier - 1 - (of.uniform(which, attempt) * np.minimum(earlier, LATELY)).astype(np.int64)
        drawn = np.full(len(which), -1, np.int64)
        seen = np.flatnonzero(earlier > 0)
        start, stop = (held["start"][of.taken[0][last[seen]] + side] for side in (0, 1))
        place = start + (of.uniform(which[seen], attempt, number=1) * (stop - start)).astype(np.int64)
        there = stop > start
        drawn[seen[there]] = held["rows"][place[there]]
        return drawn

    @classmethod
    def probability(cls, of: Drawing, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """How much of what the last events propose is the item."""
        triggers, found = of.index.triggers, np.zeros(len(rows))
        partners = of.index.pools[cls.name]["start"]
        _proposed(rows, of.earlier, of.taken[0], partners, triggers.start, triggers.rows, found)
        return found


@compiled()
def _proposed(targets, earlier, taken, partners, start, triggers, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    """Sums, over the last events, the share of each target in the partners of the event's item."""
    items = len(partners) - 1
    for n in range(len(targets)):
        first = max(0, earlier[n] - LATELY)
        for event in range(first, earlier[n]):
            item = taken[event]
            for source in range((len(start) - 1) // items):
                place = source * items + targets[n]
                at = start[place] + np.searchsorted(triggers[start[place] : start[place + 1]], item)
                if at < start[place + 1] and triggers[at] == item:
                    out[n] += 1 / ((partners[item + 1] - partners[item]) * (earlier[n] - first))
