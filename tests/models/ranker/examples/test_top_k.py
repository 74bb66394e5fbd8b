"""The parts of the selection, at borders and among equal scores."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.ranker.examples.top_k import BELOW, CHUNK, TIERS, _count, _kth, _tier_of_kth


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
    above = np.ones(TIERS, np.int32)
    _count(scores, BELOW, above)
    above -= 1
    above[0] = len(scores)
    tiers = np.bincount([tier_of(score) for score in scores], minlength=TIERS)
    assert (-np.diff(above, append=0)).tolist() == tiers.tolist()
    for k in (1, 2, len(scores) // 2, len(scores)):
        assert _tier_of_kth(above, k) == tier_of(np.sort(scores)[-k])


def test_counting_stops_at_an_empty_tier_only_where_all_above_are_empty() -> None:
    above = np.zeros(TIERS, np.int32)
    _count(np.array([0.05, 0.99, 2.0, -np.inf], np.float32), BELOW, above)
    assert above.tolist() == [0, 3, *[2] * 13, 1]


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
    ranked, inf = np.sort(given)[::-1], np.float32(np.inf)
    padded = np.append(given, np.full(-len(given) % CHUNK, -inf)).astype(np.float32)
    for k in range(1, len(given)):
        tier = np.flatnonzero(ranked[k - 1] > BELOW)[-1]
        for least, most in ((-inf, inf), (BELOW[tier], BELOW[tier + 1])):
            border, above = _kth(padded, k, least, most)
            assert above == (given > border).sum()
            assert above == k or (border == ranked[k - 1] and above < k)
