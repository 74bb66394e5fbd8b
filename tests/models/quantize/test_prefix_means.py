"""What prefixes of codes stand for beyond the sum of their centroids."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from models.quantize.fsq import FsqLevel
from models.quantize.fsq_training import Before
from models.quantize.methods import res_kmeans_fsq
from models.quantize.prefix_means import fit_prefix_means, others_means, take_others_means
from models.quantize.quality import quality_of
from schemas.codebook_sections import FsqSettings
from tests.models.quantize.codebooks import fitted, grouped


def test_prefix_means_give_new_contents_better_codes() -> None:
    sizes = ("kmeans.sizes=[16, 16]", "fsq.levels=[2, 2, 2, 2]", "fsq.steps=150", "fsq.hidden=32")
    books = [fitted(grouped(1500, 5), *sizes, "fsq.learning_rate=3e-3", f"fsq.prefix_minimum={m}") for m in (0, 3)]
    without, means = (quality_of(book, grouped(800, 6)) for book in books)
    assert books[0].prefix_means is None
    assert means["reconstruction_error"] < 0.8 * without["reconstruction_error"]
    assert means["collision_rate"] < 0.9 * without["collision_rate"]


def test_the_fsq_is_fitted_on_what_is_left_and_told_of_all_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def fit_fsq(left: np.ndarray, settings: FsqSettings, *, before: Before, **_: Any) -> FsqLevel:
        given.append((left, before))
        return FsqLevel(left.shape[1], settings.levels, 0)

    monkeypatch.setattr(res_kmeans_fsq, "fit_fsq", fit_fsq)
    vectors = grouped(2000, 5)
    fitted(vectors, "kmeans.sizes=[16, 16]")
    left, before = given[0]
    rows = torch.arange(0, 2000, 7)
    np.testing.assert_allclose(before(rows).numpy() + left[rows], vectors[rows], atol=1e-5)
    fitted(vectors, "kmeans.sizes=[16, 16]", "fsq.prefix_minimum=0")
    assert (left**2).sum() < 0.8 * (given[1][0] ** 2).sum()


def test_a_prefix_mean_is_drawn_to_zero_by_the_noise_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = np.array([[1, 2], [0, 0], [1, 2], [3, 1], [1, 2], [3, 1]], np.int32)
    residual = np.arange(12, dtype=np.float32).reshape(6, 2)
    means = fit_prefix_means(residual, codes, [4, 3], minimum=2)
    # Prefix 1-2 holds rows 0, 2, 4 and 3-1 rows 3, 5: by hand from the definitions, all 5 rows beside their means.
    groups = [residual[[0, 2, 4]], residual[[3, 5]]]
    within = sum(((rows - rows.mean(0)) ** 2).sum() for rows in groups) / (5 - 2)
    between = (np.concatenate(groups) ** 2).sum() / 5 - within
    shares = [1 / (len(rows) + within / between) for rows in groups]
    expected = [rows.sum(0) * share for rows, share in zip(groups, shares, strict=True)]
    assert means.prefixes.tolist() == [[1, 2], [3, 1]]
    np.testing.assert_allclose(means.means, expected, rtol=1e-3)
    asked = np.array([[0, 0], [3, 1], [3, 2], [1, 2]], np.int32)
    np.testing.assert_allclose(means.of(asked), [[0, 0], expected[1], [0, 0], expected[0]], rtol=1e-3)
    np.testing.assert_allclose(means.with_shares(asked)[1], [0, shares[1], 0, shares[0]], rtol=1e-6)
    other = means.renamed([np.array([3, 0, 2, 1], np.int32), None])
    np.testing.assert_array_equal(other.of(np.array([[1, 1], [0, 2]], np.int32)), means.of(asked[[1, 3]]))
    assert len(fit_prefix_means(residual, codes, [4, 3], minimum=1)) == 3
    monkeypatch.setattr("models.quantize.prefix_means.MOST_PREFIXES", 1)
    assert fit_prefix_means(residual, codes, [4, 3], minimum=1).prefixes.tolist() == [[1, 2]]
    none = fit_prefix_means(residual, codes, [4, 3], minimum=4)
    assert len(none) == 0
    assert not none.of(asked).any()
    with pytest.raises(ValueError, match="too many prefixes"):
        fit_prefix_means(residual, np.zeros((6, 6), np.int32), [4096] * 6, minimum=2)


def test_what_a_mean_leaves_of_a_content_is_as_if_it_had_not_been_there() -> None:
    generator = np.random.default_rng(0)
    codes = generator.integers(3, size=(40, 2)).astype(np.int32)
    residual = (codes @ generator.normal(size=(2, 5)) + generator.normal(size=(40, 5))).astype(np.float32)
    means = fit_prefix_means(residual, codes, [3, 3], minimum=1)
    left = residual.copy()
    take_others_means(means, left, codes)
    _, place, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    drawn_by = 1 / means.with_shares(codes)[1] - counts[place.ravel()]
    for row in range(40):
        others = np.flatnonzero((codes == codes[row]).all(1) & (np.arange(40) != row))
        mean = residual[others].sum(0) / (len(others) + drawn_by[row])
        np.testing.assert_allclose(left[row], residual[row] - mean, rtol=1e-2, atol=5e-3)
    np.testing.assert_allclose(others_means(means, left, codes), residual - left, atol=5e-3)
