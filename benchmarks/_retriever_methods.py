"""Methods of the retrieval benchmark: each gives every user a score of every item, from what was known at a moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from benchmarks._cornac import CORNAC, OthersLists, installed, lists_of
from benchmarks._fitted_sources import swing_pairs, two_towers
from benchmarks._generators import GENERATORS, Trained, alone, content_vectors, trained
from benchmarks._retriever_data import END, Log, moment
from benchmarks._sasrec import SasRecParameters
from models.retriever.background import Asked, Background
from models.retriever.candidates import Candidates
from models.retriever.fusion import Fusion, FusionParameters, later_scores
from models.retriever.histories import DAY
from models.retriever.lessons import Lessons, lessons_of, next_taken
from models.retriever.lists import Lists, list_losses
from models.retriever.pool import Pool
from models.retriever.retrieval import reciprocal_ranks
from models.retriever.source import SourceParameters
from models.retriever.sources.generator import Generator
from models.retriever.sparse_rows import Scores
from models.retriever.trees import Size
from schemas.parameters import take
from schemas.settings import Settings, load_settings

FIFTEEN = (
    "score_own", "score_tifu_knn", "score_user_knn", "score_cosine", "score_transitions", "score_popular",
    "item_baskets", "item_mass_14", "item_mass_240", "item_last", "item_interval", "content_baskets", "content_last",
    "events_28", "repeat_share",
)  # fmt: skip
"""The numbers that the boosted baseline reads."""
ITS_CANDIDATES = 500
"""The boosted baseline's candidates: those with the highest sums of reciprocal ranks."""


@dataclass(frozen=True)
class Learned:
    """What is fitted with one seed: the product's fusion, and the baseline's trees, as scikit-learn fits them."""

    fusion: Fusion
    boosted: Any


@dataclass(frozen=True)
class Fitted:
    """What is fitted on a log before a moment, with one seed.

    Attributes:
        until: the moment, seconds since 1970; fusion learns from later ones alone.
        known: the whole log with Swing's pairs, the two towers and the default retriever.
        generators: trained retrievers by name.
        others: lists by other people's models, by name.
    """

    until: int
    known: Background
    generators: Mapping[str, Trained]
    others: Mapping[str, OthersLists]


def fitted_on(data: str, log: Log, days: Sequence[str], *, seeds: int, folder: Path) -> list[Fitted]:
    """Fits the sources that need a fit with every seed, once for all days.

    Args:
        data: name of the data set.
        log: the log.
        days: the days on which lists are measured.
        seeds: number of seeds; what has one result for all seeds is fitted with seed 0 alone, as are variants of the
            retriever.
        folder: folder of what was fitted before.
    """
    settings = load_settings()
    until = moment(min(days)) - int(DAY) * log.fit_days_between * WEEKS_AFTER
    before = log.all.before(until)
    pairs = swing_pairs(before, settings)
    cornac = CORNAC if installed() else {}
    vectors = content_vectors(data, log, folder)
    asked = {day: asked_users(log, day) for day in days}
    fits = []
    for seed in range(seeds):
        names = GENERATORS if seed == 0 else ("generator",)
        made = {name: trained(data, log, name, until=until, seed=seed, folder=folder) for name in names}
        towers = two_towers(before, log.texts, settings, seed=seed)
        known = replace(log.all, pairs=pairs, writer=made["generator"].writer, towers=towers)
        others = {
            name: lists_of(name, data, log, asked, vectors=vectors, seed=seed, folder=folder)
            for name, other in cornac.items()
            if other.seeded or seed == 0
        }
        fits.append(Fitted(until, known, made, others))
    return fits


def asked_users(log: Log, day: str) -> np.ndarray:
    """The users whose lists are measured on a day."""
    before = log.all.before(moment(day)).histories
    taken = next_taken(log.all.histories, log.all.items, moment(day), END)
    return np.flatnonzero((np.diff(taken.indptr) > 0) & (np.diff(before.offsets) >= log.least_history))


WEEKS_AFTER = 4
"""Moments between the end of the fit and the first day that is measured, from which fusion learns to weigh the fit."""


def parameters_of(settings: Settings, data: str) -> tuple[SourceParameters, dict[str, int]]:
    """The sources' constants and numbers of candidates."""
    return take(SourceParameters, settings.retrieve, **CHOSEN[data]), settings.retrieve.candidates


SASREC = {"complete_journey": SasRecParameters(50, epochs=10), "ml_100k": SasRecParameters(100, epochs=60)}
"""Epochs were chosen on the days to tune on."""

CHOSEN: dict[str, dict[str, Any]] = {"complete_journey": {}, "ml_100k": {}}
"""Constants that differ from the defaults, chosen on the days to tune on."""


def learned(log: Log, known: Background, settings: Settings, data: str, *, after: int) -> Lessons:
    """What fusion learns from at a moment: the weeks before it, with what was known then.

    Args:
        log: the log.
        known: what is known at the moment.
        settings: the settings.
        data: name of the data set.
        after: end of the period that sources were fitted on; earlier weeks are left out.
    """
    parameters, most = parameters_of(settings, data)
    step = int(DAY) * log.fit_days_between
    moments = [known.moment - step * n for n in range(log.fit_moments, 0, -1)]
    later = [moment for moment in moments if moment >= after]
    negatives = settings.retrieve.fusion.negatives
    return lessons_of(known, later, lambda own: Pool(own, parameters, most), negatives=negatives, seed=0)


def fitted(lessons: Lessons, settings: Settings, *, seed: int) -> Learned:
    """Fits the product's fusion and the baseline's trees, whose size is chosen on the same later lists."""
    parameters = take(FusionParameters, settings.retrieve.fusion, seed=seed)
    fusion = Fusion.fit(lessons, parameters)
    assert fusion is not None, "the log is long enough to learn from"
    columns = lessons.numbers[:, _columns(lessons.names)]
    own = replace(lessons, names=FIFTEEN, numbers=columns, size=np.ones_like(lessons.size))
    boosted = parameters.model(best_size(own, parameters)).fit(own.numbers, own.taken)
    return Learned(fusion, boosted)


def best_size(lessons: Lessons, parameters: FusionParameters) -> Size:
    """The size of trees that orders the later lists best."""
    later = np.flatnonzero(lessons.late)
    lists, taken = Lists.of(lessons.list[later]), lessons.taken[later]
    losses = {size: list_losses(own, taken, lists).mean() for size, own in later_scores(lessons, later, parameters)}
    return min(losses, key=losses.__getitem__)


def _columns(names: Sequence[str]) -> list[int]:
    return [names.index(name) for name in FIFTEEN]


def lone_generators(pool: Pool, fit: Fitted) -> dict[str, Generator]:
    """The trained retrievers as lists of their own, over what is known to a pool."""
    return {
        name: Generator(replace(pool.background, writer=alone(made.writer)), pool.parameters)
        for name, made in fit.generators.items()
    }


def scores_of(
    pool: Pool, fused: Learned, alone_of: Mapping[str, Generator], asked: Asked, *, seed: int
) -> Iterator[tuple[str, int, Scores]]:
    """Scores of every source and of the fused methods with one seed, shape (users, items) each.

    Args:
        pool: the sources.
        fused: what is fitted on lessons.
        alone_of: result of :func:`lone_generators`.
        asked: the users; few enough for a dense matrix of users and items.
        seed: the seed; what has none is scored with seed 0 alone.

    Yields:
        Name of the method, seed (-1 for a method with one result for all seeds), and scores.
    """
    scores = pool.scores(asked)
    for name, own in scores.items():
        if name == "two_tower" or (seed == 0 and name != "generator"):
            yield name, seed if name == "two_tower" else -1, own
    for name, lone in alone_of.items():
        yield name, seed if name == "generator" else -1, lone.scores(asked)
    candidates = Candidates.of(scores, pool.most)
    numbers = pool.numbers(asked, candidates)
    shape = (len(asked.itself), pool.background.items)

    def table(values: np.ndarray, rows: np.ndarray | slice = slice(None)) -> sparse.csr_matrix:
        return sparse.csr_matrix((values.astype(np.float32), (candidates.user[rows], candidates.item[rows])), shape)

    ranks = reciprocal_ranks(candidates.rank)
    yield RANKS, seed, table(ranks)
    order = np.lexsort((-ranks, candidates.user))
    place = np.arange(len(order)) - np.searchsorted(candidates.user[order], candidates.user[order])
    first = order[place < ITS_CANDIDATES]
    yield BOOSTED, seed, table(fused.boosted.predict_proba(numbers[first][:, _columns(pool.names)])[:, 1], first)
    lists = Lists.of(candidates.user)  # shares of a list add up over the items of a content
    yield OURS, seed, table(lists.shares(fused.fusion.scores(numbers, lists))[0])


OURS, BOOSTED, RANKS = "fused", "boosted", "ranks"
TITLES: dict[str, str] = {
    "popular": "popular of the last 28 days",
    "trending": "popular with a half-life of 7 days",
    "own": "own frequency with half-life",
    "tifu_knn": "TIFU-kNN",
    "user_knn": "user kNN",
    "cosine": "item cosine with decay",
    "ease": "EASE",
    "transitions": "forward transitions",
    "own_kinds": "popular items of the user's kinds",
    "swing": "Swing's neighbours of recent items",
    "two_tower": "two towers",
    "sasrec": "SASRec, full cross entropy",
    **{name: of.title for name, of in CORNAC.items()},
    **{name: of.title for name, of in reversed(GENERATORS.items())},
    BOOSTED: "gradient boosting, 500 candidates, 15 numbers",
    RANKS: "sum of reciprocal ranks",
    OURS: "qarm, fused",
}
"""The methods by name, baselines first."""
