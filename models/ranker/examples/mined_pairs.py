"""Features from mined pairs whose target is the ranked item and whose trigger is in the user's past."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.compiled import compiled
from models.ranker.examples.context import Context
from models.ranker.examples.registry import feature
from schemas.names import PAIR_SOURCES

MEASURES = 3
"""Measures per source: the number of pairs, their highest score, the sum of their scores."""


@feature
def mined_pairs(of: Context) -> NDArray[np.float32]:
    """The :data:`MEASURES` per source of pairs from an item that the user took before; each trigger counts once."""
    triggers = of.index.triggers
    items = (len(triggers.start) - 1) // len(PAIR_SOURCES)
    taken, first = np.unique(of.past.rows, return_index=True)
    out = np.zeros((len(of.targets.rows), len(PAIR_SOURCES) * MEASURES), np.float32)
    for source in range(len(PAIR_SOURCES)):
        measures = out[:, source * MEASURES : (source + 1) * MEASURES]
        _pair_measures(source * items + of.targets.rows, of.visible, taken, first, *triggers, measures)
    return out


@compiled()
def _pair_measures(places, visible, taken, first, start, rows, scores, out):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    for n in range(len(places)):
        for pair in range(start[places[n]], start[places[n] + 1]):
            at = np.searchsorted(taken, rows[pair])
            if at < len(taken) and taken[at] == rows[pair] and first[at] < visible[n]:
                out[n, 0] += 1
                out[n, 1] = max(out[n, 1], scores[pair])
                out[n, 2] += scores[pair]
