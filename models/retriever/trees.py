"""Boosted trees over the numbers of candidates, fitted by scikit-learn and kept as plain arrays.

So saved trees are read without running code of the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier

from models.compiled import compiled

NODES = ("value", "feature", "threshold", "missing_left", "left", "right", "is_leaf")
OF_SKLEARN = ("value", "feature_idx", "num_threshold", "missing_go_to_left", "left", "right", "is_leaf")


@dataclass(frozen=True, kw_only=True)
class TreeParameters:
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

    def model(self, size: Size) -> HistGradientBoostingClassifier:
        """Trees that are to be fitted, so many and so large."""
        return HistGradientBoostingClassifier(
            max_iter=size.trees,
            max_leaf_nodes=size.leaves,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.min_leaf,
            l2_regularization=self.l2,
            random_state=self.seed,
            early_stopping=False,
        )


@dataclass(frozen=True)
class Size:
    """How many trees there are, and how large.

    Attributes:
        trees: number of trees.
        leaves: most leaves of a tree.
    """

    trees: int
    leaves: int


def known(numbers: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers, 0 in columns that hold none, of which scikit-learn makes no bins; no tree asks for them."""
    return np.where(np.isnan(numbers).all(0), np.float32(0), numbers)


@dataclass(frozen=True)
class Trees:
    """Fitted trees.

    Attributes:
        base: score before the first tree.
        start: place of each tree's first node, and at the end the number of nodes, shape (trees + 1,).
        nodes: arrays of :data:`NODES` by name, shape (nodes,); children count from their tree's first node.
    """

    base: float
    start: NDArray[np.int64]
    nodes: dict[str, NDArray[Any]]

    @classmethod
    def fit(
        cls,
        numbers: NDArray[np.float32],
        taken: NDArray[np.bool_],
        weights: NDArray[np.float64],
        *,
        size: Size,
        parameters: TreeParameters,
    ) -> Trees:
        """Fits trees to whether a candidate was taken, by logistic loss.

        Args:
            numbers: numbers of candidates, NaN for none, shape (n, numbers).
            taken: whether the user took the candidate next, shape (n,).
            weights: weight of each candidate, shape (n,).
            size: how many trees, and how large.
            parameters: settings.
        """
        model = parameters.model(size).fit(known(numbers), taken, sample_weight=weights)
        trees = [tree.nodes for (tree,) in model._predictors]
        start = np.concatenate([[0], np.cumsum([len(tree) for tree in trees])]).astype(np.int64)
        both = np.concatenate(trees)
        kinds = (np.float64, np.int32, np.float64, np.bool_, np.int32, np.int32, np.bool_)
        of = zip(NODES, OF_SKLEARN, kinds, strict=True)
        nodes = {name: np.ascontiguousarray(both[theirs], kind) for name, theirs, kind in of}
        return cls(float(np.ravel(model._baseline_prediction)[0]), start, nodes)

    def scores(self, numbers: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of candidates, shape (n,).

        Args:
            numbers: shape (n, numbers).
        """
        return _walk(numbers, self.base, self.start, *(self.nodes[name] for name in NODES))

    @property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it as arrays, of which :meth:`of` makes the trees again."""
        return {"base": np.array(self.base), "start": self.start, **self.nodes}

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Trees:
        """The trees of :attr:`arrays`."""
        return cls(float(arrays["base"]), arrays["start"], {name: arrays[name] for name in NODES})


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
