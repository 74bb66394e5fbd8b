"""Fusion: one score of a candidate from its scores and ranks in all sources and from the facts.

A linear score and boosted trees, both fitted on what users took next at earlier moments, are mixed. How much the trees
count, how many they are and how large is chosen on the latest of these moments, by how well the mixture orders each
user's candidates. A small log, on which that cannot be told, is fused by the linear score alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.retriever.lessons import Lessons
from models.retriever.linear import Linear
from models.retriever.lists import Lists, list_losses
from models.retriever.trees import Size, TreeParameters, Trees, known

SHARES = (0.25, 0.5, 0.75, 1.0)
"""Shares of the trees in a mixture with trees, of which one is chosen."""
STEP = 10
"""Numbers of trees are multiples of it."""
FEWEST_LISTS = 200
"""With fewer later lists than this, the losses of two mixtures differ by chance alone."""
STANDARD_ERRORS = 2.0
"""What the best of many mixtures must gain over the linear score, in standard errors over the lists."""
MOST_LISTS = 4_000
"""Lists that the linear score is fitted on, and lists that a mixture is chosen on, at most."""


@dataclass(frozen=True, kw_only=True)
class FusionParameters(TreeParameters):
    """Settings of the fusion: those of the trees, and of the linear score.

    Attributes:
        linear_l2: weight of the squared weights of the linear score, in lists.
    """

    linear_l2: float


@dataclass(frozen=True)
class Mixture:
    """What a fusion is made of.

    Attributes:
        share: share of the trees in the score; 0 if there are none.
        size: how many trees there are, and how large.
    """

    share: float
    size: Size


LINEAR = Mixture(0.0, Size(0, 0))
"""The linear score alone."""


def later_scores(
    lessons: Lessons, later: NDArray[np.int64], parameters: TreeParameters
) -> Iterator[tuple[Size, NDArray[np.float64]]]:
    """Fits trees of every size on the earlier lessons.

    Args:
        lessons: what is learned from.
        later: rows of the later lessons that are scored.
        parameters: settings of the trees.

    Yields:
        A size, and the scores of the later lessons by trees of this size, shape (later,).
    """
    early = ~lessons.late
    for leaves in parameters.leaves:
        model = parameters.model(Size(parameters.trees, leaves))
        model.fit(known(lessons.numbers[early]), lessons.taken[early], sample_weight=lessons.weights[early])
        for number, scores in enumerate(model.staged_decision_function(lessons.numbers[later]), 1):
            if number % STEP == 0 or number == parameters.trees:
                yield Size(number, leaves), scores


def chosen_mixture(lessons: Lessons, parameters: FusionParameters) -> Mixture:
    """The mixture that orders the later lists best if it is fitted on the earlier lessons.

    Args:
        lessons: what is learned from.
        parameters: settings.

    Returns:
        The mixture; :data:`LINEAR` unless the trees make lists better by more than chance would.
    """
    late, number = lessons.late, lessons.list
    tells = Lists.telling(number, lessons.taken)
    early = lessons.taken[~late]
    if len(np.unique(number[late & tells])) < FEWEST_LISTS or not early.any() or early.all():
        return LINEAR
    later = np.flatnonzero(late & tells)
    later = later[Lists.some(number[later], MOST_LISTS)]
    lists, taken = Lists.of(number[later]), lessons.taken[later]
    linear = fit_linear(lessons, parameters, ~late).scores(lessons.numbers[later], lists)
    alone = list_losses(linear, taken, lists)
    gains: dict[Mixture, tuple[float, float]] = {LINEAR: (0.0, 0.0)}
    for size, scores in later_scores(lessons, later, parameters):
        for share in SHARES:
            gain = alone - list_losses(share * scores + (1 - share) * linear, taken, lists)
            gains[Mixture(share, size)] = float(gain.mean()), float(gain.std() / len(gain) ** 0.5)
    best = max(gains, key=lambda mixture: gains[mixture][0])
    mean, error = gains[best]
    return best if mean > STANDARD_ERRORS * error else LINEAR


def fit_linear(lessons: Lessons, parameters: FusionParameters, rows: NDArray[np.bool_]) -> Linear:
    """The linear score, fitted on some of the lessons: at most :data:`MOST_LISTS` of their lists.

    Args:
        lessons: what is learned from.
        parameters: settings.
        rows: whether a lesson may be used, shape (n,).
    """
    used = np.flatnonzero(rows & Lists.telling(lessons.list, lessons.taken))
    used = used[Lists.some(lessons.list[used], MOST_LISTS)]
    lists = Lists.of(lessons.list[used])
    return Linear.fit(lessons.names, lessons.numbers[used], lessons.taken[used], lists, l2=parameters.linear_l2)


@dataclass(frozen=True)
class Fusion:
    """A fitted mixture.

    Attributes:
        names: names of the numbers that it reads, in order.
        mixture: what it is made of.
        linear: the linear score.
        trees: the trees; None if their share is 0.
    """

    names: tuple[str, ...]
    mixture: Mixture
    linear: Linear
    trees: Trees | None

    @classmethod
    def fit(cls, lessons: Lessons, parameters: FusionParameters, mixture: Mixture | None = None) -> Fusion | None:
        """Fits a mixture to what was taken.

        Args:
            lessons: what is learned from.
            parameters: settings.
            mixture: what the fusion is made of; None to choose it on the later lessons.

        Returns:
            The fusion; None if there is nothing to learn, as all candidates were taken or none was.
        """
        if not lessons.taken.any() or lessons.taken.all():
            return None
        mixture = mixture or chosen_mixture(lessons, parameters)
        linear = fit_linear(lessons, parameters, np.ones(len(lessons.taken), bool))
        trees = None
        if mixture.share:
            trees = Trees.fit(lessons.numbers, lessons.taken, lessons.weights, size=mixture.size, parameters=parameters)
        return cls(tuple(lessons.names), mixture, linear, trees)

    def scores(self, numbers: NDArray[np.float32], lists: Lists) -> NDArray[np.float64]:
        """Scores of candidates; within a list they are log-odds, shape (n,).

        Args:
            numbers: shape (n, len(names)).
            lists: the candidates' lists, whole ones.
        """
        linear = self.linear.scores(numbers, lists)
        if self.trees is None:
            return linear
        return self.mixture.share * self.trees.scores(numbers) + (1 - self.mixture.share) * linear

    def save(self, folder: Path) -> None:
        """Writes the fusion to a folder."""
        card = {"names": self.names, "share": self.mixture.share, **asdict(self.mixture.size)}
        (folder / "fusion.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        arrays = {} if self.trees is None else self.trees.arrays
        np.savez(folder / "fusion.npz", weights=self.linear.weights, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Fusion:
        """Reads the fusion that :meth:`save` wrote."""
        card = json.loads((folder / "fusion.json").read_text(encoding="utf-8"))
        with np.load(folder / "fusion.npz", allow_pickle=False) as stored:
            arrays = dict(stored)
        mixture = Mixture(card["share"], Size(card["trees"], card["leaves"]))
        trees = Trees.of(arrays) if mixture.share else None
        return cls(tuple(card["names"]), mixture, Linear(arrays["weights"]), trees)
