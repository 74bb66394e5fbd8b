from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from qarm.models.quantize.codebook import Codebook, CodebookParameters
from qarm.models.quantize.fsq import FsqQuantizer, fit_fsq
from qarm.models.quantize.neighbours import nearest_others
from qarm.models.quantize.quality import collision_numbers, entropy, hit_rates, reconstruction_errors
from qarm.models.quantize.residual_kmeans import fit_residual_kmeans, nearest

PARAMETERS = CodebookParameters([8, 8], 10, [2, 2, 3], 16, 20, 64, 1e-3, 7)


def clustered(n: int = 400, d: int = 16, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = generator.normal(size=(12, d))
    vectors = centres[generator.integers(12, size=n)] + 0.3 * generator.normal(size=(n, d))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def reference_bound(z: float, levels: int) -> float:
    half = (levels - 1) * 1.001 / 2
    offset = 0.5 if levels % 2 == 0 else 0.0
    return math.tanh(z + math.atanh(offset / half)) * half - offset


@pytest.mark.parametrize("levels", [[2, 2, 2], [8, 5, 3], [4]])
def test_fsq_codes_are_the_mixed_radix_of_rounded_bounds(levels: list[int]) -> None:
    quantizer = FsqQuantizer(levels)
    z = torch.randn(500, len(levels), generator=torch.Generator().manual_seed(1)) * 4
    expected = []
    for row in z.tolist():
        code, basis = 0, 1
        for value, size in zip(row, levels, strict=True):
            code += (round(reference_bound(value, size)) + size // 2) * basis
            basis *= size
        expected.append(code)
    assert quantizer.codes(z).tolist() == expected
    assert min(expected) >= 0
    assert max(expected) < math.prod(levels)
    torch.testing.assert_close(quantizer.values(quantizer.codes(z)), quantizer(z))


def test_fsq_reaches_every_code_and_values_invert_codes() -> None:
    quantizer = FsqQuantizer([3, 2, 4])
    codes = torch.arange(24)
    assert len({tuple(row) for row in quantizer.values(codes).tolist()}) == 24
    grid = torch.tensor(list(itertools.product([-9.0, 0.0, 9.0], [-9.0, 9.0], [-9.0, -0.9, 0.0, 9.0])))
    assert set(quantizer.codes(grid).tolist()) == set(range(24))


def test_fsq_gradient_passes_straight_through_the_rounding() -> None:
    quantizer = FsqQuantizer([5])
    z = torch.tensor([[0.3]], requires_grad=True)
    quantizer(z).sum().backward()
    half = 4 * 1.001 / 2
    assert z.grad is not None
    assert z.grad.item() == pytest.approx((1 - math.tanh(0.3) ** 2) * half / 2, rel=1e-5)


def test_fsq_training_beats_its_start_and_does_not_collapse() -> None:
    vectors = clustered() * 0.1
    few, many = (fit_fsq(vectors, [2] * 6, 32, epochs, 64, 3e-3, seed=1) for epochs in (1, 60))
    error = [float(((vectors - model.decode(model.encode(vectors))) ** 2).mean()) for model in (few, many)]
    assert error[1] < 0.8 * error[0]
    assert error[1] < 0.7 * float(vectors.var(0).mean())
    assert len(np.unique(many.encode(vectors))) >= 12


def test_residual_levels_follow_their_definition() -> None:
    vectors = clustered()
    levels, residual = fit_residual_kmeans(vectors, [6, 5], 10, seed=3)
    left = vectors
    for centroids in levels:
        distance = ((left[:, None] - centroids[None]) ** 2).sum(-1)
        chosen = distance.argmin(1)
        assert np.array_equal(nearest(left, centroids), chosen)
        left = left - centroids[chosen]
    np.testing.assert_allclose(residual, left, atol=1e-6)
    assert (residual**2).sum() < 0.5 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_two_fits_with_one_seed_are_bit_identical() -> None:
    first, second = (Codebook.fit(clustered(), PARAMETERS) for _ in range(2))
    assert np.array_equal(first.assign(clustered()), second.assign(clustered()))
    assert all(np.array_equal(a, b) for a, b in zip(first.centroids, second.centroids, strict=True))


def test_codebook_survives_saving(tmp_path: Path) -> None:
    book = Codebook.fit(clustered(), PARAMETERS)
    book.save(tmp_path)
    again = Codebook.load(tmp_path)
    fresh = clustered(seed=9)
    assert np.array_equal(book.assign(fresh), again.assign(fresh))
    np.testing.assert_array_equal(book.reconstruct(book.assign(fresh)), again.reconstruct(again.assign(fresh)))
    assert again.sizes == [8, 8, 12]


def test_each_level_brings_the_reconstruction_nearer() -> None:
    vectors = clustered()
    book = Codebook.fit(vectors, PARAMETERS)
    codes = book.assign(vectors)
    one = book.centroids[0][codes[:, 0]]
    two = one + book.centroids[1][codes[:, 1]]
    errors = [reconstruction_errors(vectors, r).mean() for r in (one, two, book.reconstruct(codes))]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("vectors", [clustered(n=3), clustered(n=1), np.repeat(clustered(n=1), 50, axis=0)])
def test_fewer_or_equal_contents_still_give_codes(vectors: np.ndarray) -> None:
    book = Codebook.fit(vectors, PARAMETERS)
    codes = book.assign(vectors)
    assert codes.shape == (len(vectors), 3)
    assert np.isfinite(book.reconstruct(codes)).all()


def test_hostile_embeddings_are_named() -> None:
    book = Codebook.fit(clustered(), PARAMETERS)
    bad = clustered()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="1 of 400 embeddings hold NaN or infinity, the first at row 3"):
        book.assign(bad)
    with pytest.raises(ValueError, match="16 dimensions, not shape"):
        book.assign(clustered(d=8))


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


def test_entropy_by_hand() -> None:
    assert entropy(np.array([1, 1, 1, 1, 0])) == pytest.approx(2)
    assert entropy(np.array([8])) == 0


def test_neighbours_are_the_nearest_others() -> None:
    vectors = clustered(40)
    own = np.arange(40)
    near = nearest_others(vectors, vectors, own, 5)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    assert np.array_equal(near, np.argsort(-similarity, axis=1)[:, :5])
    assert nearest_others(vectors[:1], vectors[:1], np.array([0]), 5).shape == (1, 0)


def test_neighbours_of_equal_vectors_never_include_the_own() -> None:
    same = np.repeat(clustered(1), 12, axis=0)
    near = nearest_others(same, same, np.arange(12), 3)
    assert near.shape == (12, 3)
    assert not (near == np.arange(12)[:, None]).any()
