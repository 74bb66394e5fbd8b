"""Methods of the retrieval benchmark: each gives every user a score of every item, from what was known at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks._retriever_data import Log
from benchmarks._sasrec import SasRecParameters
from models.retriever.background import Asked, Background
from models.retriever.candidates import Candidates
from models.retriever.fusion import Fusion, FusionParameters
from models.retriever.histories import DAY
from models.retriever.lessons import Lessons, lessons_of
from models.retriever.pool import Pool
from models.retriever.retrieval import reciprocal_ranks
from models.retriever.source import SourceParameters
from models.retriever.sparse_rows import Scores
from schemas.parameters import take
from schemas.settings import Settings

FIFTEEN = (
    "score_own", "score_tifu_knn", "score_user_knn", "score_cosine", "score_transitions", "score_popular",
    "item_baskets", "item_mass_14", "item_mass_240", "item_last", "item_interval", "content_baskets", "content_last",
    "events_28", "repeat_share",
)  # fmt: skip
"""The numbers that the boosted baseline reads."""
ITS_CANDIDATES = 500
"""The boosted baseline's candidates: those with the highest sums of reciprocal ranks."""


@dataclass(frozen=True)
class Trees:
    """Fitted trees of one seed: those of the product, and those of the baseline, as scikit-learn fits them."""

    fusion: Fusion
    boosted: Any


def parameters_of(settings: Settings, data: str) -> tuple[SourceParameters, dict[str, int]]:
    """The sources' constants and numbers of candidates, without the sources that need a warehouse."""
    chosen = take(SourceParameters, settings.retrieve, **CHOSEN[data])
    most = {
        name: n for name, n in settings.retrieve.candidates.items() if name not in ("swing", "generator", "two_tower")
    }
    return chosen, most


SASREC = {"complete_journey": SasRecParameters(50, epochs=10), "ml_100k": SasRecParameters(100, epochs=60)}
"""Epochs were chosen on the days to tune on."""

CHOSEN: dict[str, dict[str, Any]] = {"complete_journey": {}, "ml_100k": {}}
"""Constants that differ from the defaults, chosen on the days to tune on."""


def learned(log: Log, known: Background, settings: Settings, data: str) -> Lessons:
    """What fusion learns from at a moment: the weeks before it, with what was known then."""
    parameters, most = parameters_of(settings, data)
    step = int(DAY) * log.fit_days_between
    moments = [known.moment - step * n for n in range(log.fit_moments, 0, -1)]
    negatives = settings.retrieve.fusion.negatives
    return lessons_of(known, moments, lambda own: Pool(own, parameters, most), negatives=negatives, seed=0)


def fitted(lessons: Lessons, settings: Settings, *, seed: int) -> Trees:
    """Fits the product's trees and the baseline's."""
    trees = take(FusionParameters, settings.retrieve.fusion, seed=seed)
    fusion = Fusion.fit(lessons.names, lessons.numbers, lessons.taken, lessons.weights, parameters=trees)
    boosted = HistGradientBoostingClassifier(max_iter=trees.trees, early_stopping=False, random_state=seed)
    boosted.fit(lessons.numbers[:, _columns(lessons.names)], lessons.taken)
    return Trees(fusion, boosted)


def _columns(names: Sequence[str]) -> list[int]:
    return [names.index(name) for name in FIFTEEN]


def scores_of(pool: Pool, trees: Sequence[Trees], asked: Asked) -> Iterator[tuple[str, int, Scores]]:
    """Scores of every source and of the fused methods, shape (users, items) each.

    Args:
        pool: the sources.
        trees: fitted trees of every seed.
        asked: the users; few enough for a dense matrix of users and items.

    Yields:
        Name of the method, seed (-1 where there is none), and scores.
    """
    scores: dict[str, Scores] = {name: source.scores(asked) for name, source in pool.sources.items()}
    yield from ((name, -1, own) for name, own in scores.items())
    candidates = Candidates.of(scores, pool.most)
    numbers = pool.numbers(asked, candidates)
    shape = (len(asked.itself), pool.background.items)

    def table(values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> sparse.csr_matrix:
        return sparse.csr_matrix((values.astype(np.float32), (candidates.user[rows], candidates.item[rows])), shape)

    ranks = reciprocal_ranks(candidates.rank)
    yield RANKS, -1, table(ranks)
    order = np.lexsort((-ranks, candidates.user))
    place = np.arange(len(order)) - np.searchsorted(candidates.user[order], candidates.user[order])
    first = order[place < ITS_CANDIDATES]
    for seed, own in enumerate(trees):
        yield BOOSTED, seed, table(own.boosted.predict_proba(numbers[first][:, _columns(pool.names)])[:, 1], first)
        yield OURS, seed, table(1 / (1 + np.exp(-own.fusion.scores(numbers))))


OURS, BOOSTED, RANKS = "fused", "boosted", "ranks"
TITLES: dict[str, str] = {
    "popular": "popular of the last 28 days",
    "own": "own frequency with half-life",
    "tifu_knn": "TIFU-kNN",
    "user_knn": "user kNN",
    "cosine": "item cosine with decay",
    "transitions": "forward transitions",
    "own_kinds": "popular items of the user's kinds",
    "sasrec": "SASRec, full cross entropy",
    BOOSTED: "gradient boosting, 500 candidates, 15 numbers",
    RANKS: "sum of reciprocal ranks",
    OURS: "qarm, fused",
}
"""The methods by name, baselines first."""
