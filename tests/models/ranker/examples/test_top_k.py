"""The parts of the selection, at borders and among equal scores."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.ranker.examples.top_k import TIERS, _count_tiers, _kth


def tier_of(score: np.float32) -> int:
    """The definition: tier 0 up to 0, tiers 1 to 14 in steps of 1/14, tier 15 for the same content."""
    if score >= np.float32(0.9999):
        return TIERS - 1
    return 0 if score <= 0 else 1 + min(int(score * np.float32(TIERS - 2)), TIERS - 3)


def test_tiers_are_counted_exactly_at_their_borders() -> None:
    borders = np.append(np.arange(TIERS - 1) / np.float32(TIERS - 2), 0.9999).astype(np.float32)
    near = [np.nextafter(borders, np.float32(to)) for to in (-np.inf, np.inf)]
    rest = np.array([-1, -0.0, 0.0, 1e-45, 1.5], np.float32)
    scores = np.concatenate([borders, *near, rest, np.random.default_rng(0).uniform(-1, 1, 900)]).astype(np.float32)
    counts = np.ones(TIERS, np.int32)
    _count_tiers(scores, counts)
    assert (counts - 1).tolist() == np.bincount([tier_of(score) for score in scores], minlength=TIERS).tolist()


DRAW = np.random.default_rng(1)


@pytest.mark.parametrize(
    "scores",
    [
        np.zeros(40),
        np.repeat([3.0, 2.0, 1.0], 13),
        np.append(np.full(30, 0.5), [0.5 + 2**-20, 0.5 - 2**-20]),
        np.append(DRAW.normal(size=60), np.zeros(40)),
        np.exp(20 * DRAW.normal(size=100)),
        np.arange(50) * 1e-44,
        -np.arange(50.0),
    ],
    ids=["all equal", "three values", "neighbours", "ties at 0", "skew", "subnormal", "negative"],
)
def test_the_border_is_the_kth_score_or_has_k_above_it(scores: NDArray[np.float64]) -> None:
    given = DRAW.permutation(scores).astype(np.float32)
    ranked = np.sort(given)[::-1]
    for k in range(1, len(given)):
        border, above = _kth(given, k)
        assert above == (given > border).sum()
        assert above == k or (border == ranked[k - 1] and above < k)
