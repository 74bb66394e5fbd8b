"""Fusion: one score of a candidate from its scores and ranks in all sources and from the facts, by boosted trees.

The trees are fitted by scikit-learn on what users took next at earlier moments, and kept as plain arrays, so that a
saved fusion is read without running code of the file. How many they are and how large is chosen on the latest of these
moments: a small log bears few small trees, a large one many.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.compiled import compiled

NODES = ("value", "feature", "threshold", "missing_left", "left", "right", "is_leaf")
OF_SKLEARN = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")


@dataclass(frozen=True, kw_only=True)
class FusionParameters:
    """Settings of the boosted trees.

    Attributes:
        trees: most trees.
        leaves: most leaves of a tree, of which one is chosen.
        learning_rate: shrinkage of each tree.
        min_leaf: fewest candidates in a leaf.
        l2: regularisation of the leaves' values.
        seed: seed of the bins' sample.
    """

    trees: int
    leaves: Sequence[int]
    learning_rate: float
    min_leaf: int
    l2: float
    seed: int

    def model(self, size: Size, **more: Any) -> HistGradientBoostingClassifier:
        """Trees that are to be fitted.

        Args:
            size: how many there are, and how large.
            more: further arguments of scikit-learn's classifier.
        """
        return HistGradientBoostingClassifier(
            max_iter=size.trees,
            max_leaf_nodes=size.leaves,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.min_leaf,
            l2_regularization=self.l2,
            random_state=self.seed,
            **{"early_stopping": False, **more},
        )


@dataclass(frozen=True)
class Size:
    """Size of the fusion.

    Attributes:
        trees: number of trees.
        leaves: most leaves of a tree.
    """

    trees: int
    leaves: int


PATIENCE = 20
"""Trees after which a fit ends that have brought nothing on the later candidates."""


def chosen_size(
    numbers: NDArray[np.float32],
    taken: NDArray[np.bool_],
    weights: NDArray[np.float64],
    late: NDArray[np.bool_],
    *,
    parameters: FusionParameters,
) -> Size:
    """The size whose trees, fitted on the earlier candidates, have the least log loss on the later ones.

    Args:
        numbers: numbers of candidates, NaN for none, shape (n, numbers).
        taken: whether the user took the candidate next, shape (n,).
        weights: weight of each candidate, shape (n,).
        late: whether a candidate is one of the later, shape (n,).
        parameters: settings.

    Returns:
        The size; all trees with the fewest leaves, if the earlier or the later candidates do not hold both kinds.
    """
    if any(taken[part].all() or not taken[part].any() for part in (late, ~late)):
        return Size(parameters.trees, min(parameters.leaves))
    later = {"X_val": numbers[late], "y_val": taken[late], "sample_weight_val": weights[late]}
    losses: dict[Size, float] = {}
    for leaves in parameters.leaves:
        stopping = {"early_stopping": True, "n_iter_no_change": PATIENCE, "tol": 0.0, "scoring": "loss"}
        model = parameters.model(Size(parameters.trees, leaves), **stopping)
        model.fit(_known(numbers[~late]), taken[~late], sample_weight=weights[~late], **later)
        best = int(np.argmax(model.validation_score_))  # the first score is that of no tree
        losses[Size(max(best, 1), leaves)] = -float(model.validation_score_[best])
    return min(losses, key=losses.__getitem__)


def _known(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers, 0 in columns that hold none, of which scikit-learn makes no bins; no tree asks for them."""
    return np.where(np.isnan(numbers).all(0), np.float32(0), numbers)


@dataclass(frozen=True)
class Fusion:
    """Fitted trees.

    Attributes:
        names: names of the numbers that it reads, in order.
        base: score before the first tree.
        start: place of each tree's first node, and at the end the number of nodes, shape (trees + 1,).
        nodes: arrays of :data:`NODES` by name, shape (nodes,); children count from their tree's first node.
    """

    names: tuple[str, ...]
    base: float
    start: NDArray[np.int64]
    nodes: dict[str, NDArray[Any]]

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        numbers: NDArray[np.float32],
        taken: NDArray[np.bool_],
        weights: NDArray[np.float64],
        *,
        size: Size,
        parameters: FusionParameters,
    ) -> Fusion:
        """Fits trees to whether a candidate was taken, by logistic loss.

        Args:
            names: names of the numbers.
            numbers: numbers of candidates, NaN for none, shape (n, len(names)).
            taken: whether the user took the candidate next, shape (n,).
            weights: weight of each candidate, shape (n,).
            size: how many trees, and how large.
            parameters: settings.

        Raises:
            ValueError: no candidate was taken, or all were.
        """
        if not taken.any() or taken.all():
            raise ValueError("fusion needs candidates that were taken and candidates that were not")
        model = parameters.model(size).fit(_known(numbers), taken, sample_weight=weights)
        trees = [tree.nodes for (tree,) in model._predictors]
        start = np.concatenate([[0], np.cumsum([len(tree) for tree in trees])]).astype(np.int64)
        both = np.concatenate(trees)
        kinds = (np.float64, np.int32, np.float64, np.bool_, np.int32, np.int32, np.bool_)
        of = zip(NODES, OF_SKLEARN, kinds, strict=True)
        nodes = {name: np.ascontiguousarray(both[theirs], kind) for name, theirs, kind in of}
        return cls(tuple(names), float(np.ravel(model._baseline_prediction)[0]), start, nodes)

    def scores(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of candidates, shape (n,).

        Args:
            numbers: shape (n, len(names)).
        """
        return _walk(numbers, self.base, self.start, *(self.nodes[name] for name in NODES))

    def save(self, folder: Path) -> None:
        """Writes the trees to a folder."""
        card = {"names": self.names, "base": self.base}
        (folder / "fusion.json").write_text(json.dumps(card, indent=1), encoding="utf-8")
        np.savez(folder / "fusion.npz", start=self.start, **self.nodes)

    @classmethod
    def load(cls, folder: Path) -> Fusion:
        """Reads the trees that :meth:`save` wrote."""
        card = json.loads((folder / "fusion.json").read_text(encoding="utf-8"))
        with np.load(folder / "fusion.npz", allow_pickle=False) as stored:
            nodes = {name: stored[name] for name in NODES}
            return cls(tuple(card["names"]), card["base"], stored["start"], nodes)


@compiled()
def _walk(numbers, base, start, value, feature, threshold, missing_left, left, right, is_leaf):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0917
    out = np.full(numbers.shape[0], base)
    for row in range(numbers.shape[0]):
        for tree in range(start.shape[0] - 1):
            first = start[tree]
            node = first
            while not is_leaf[node]:
                number = numbers[row, feature[node]]
                goes_left = missing_left[node] if np.isnan(number) else number <= threshold[node]
                node = first + (left[node] if goes_left else right[node])
            out[row] += value[node]
    return out
