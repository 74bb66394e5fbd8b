"""Numbers that say how good codes are."""

from __future__ import annotations

import numpy as np
import pytest

from models.quantize.quality import (
    collapsed_levels,
    collision_numbers,
    entropy,
    hit_rates,
    quality_of,
)
from tests.generate import clustered
from tests.models.quantize.codebooks import fitted


def test_collision_numbers_by_hand() -> None:
    # Buckets of 1, 1, 2 and 3 items: 7 items, 5 share, 4 SIDs.
    numbers = collision_numbers(np.array([1, 2, 3]), np.array([2, 1, 1]))
    assert numbers["collision_rate"] == pytest.approx(5 / 7)
    assert numbers["unique_rate"] == pytest.approx(4 / 7)
    assert numbers["items_per_sid"] == pytest.approx((1 + 1 + 4 + 9) / 7)


def test_hit_rates_against_brute_force() -> None:
    vectors = clustered(60)
    noisy = vectors + 0.2 * np.random.default_rng(4).normal(size=vectors.shape).astype(np.float32)
    distance = ((noisy[:, None] - vectors[None]) ** 2).sum(-1)
    place = (distance < np.diagonal(distance)[:, None]).sum(1)
    rates = hit_rates(vectors, noisy, (1, 10))
    assert rates == pytest.approx({1: (place < 1).mean(), 10: (place < 10).mean()})
    assert 0 < rates[1] < rates[10] <= 1


def test_entropy_and_collapse_by_hand() -> None:
    assert entropy(np.array([1, 1, 1, 1, 0])) == pytest.approx(2)
    assert entropy(np.array([8])) == 0
    quality = {"entropy_bits.level_1": 4.0, "entropy_bits.level_2": 3.9, "entropy_bits.level_3": 1.6}
    assert collapsed_levels(quality, [256, 256, 256], 10_000) == [2, 3]
    assert collapsed_levels(quality, [256, 256, 256], 8) == []


def test_quality_of_a_codebook() -> None:
    book = fitted(clustered())
    numbers = quality_of(book, clustered())
    codes = book.assign(clustered())
    assert numbers["unique_rate"] == len(np.unique(codes, axis=0)) / 400
    assert numbers["used.level_2"] == len(np.unique(codes[:, 1]))
    assert 0 < numbers["hr@1"] <= numbers["hr@10"] <= 1
