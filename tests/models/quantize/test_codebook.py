"""Codebooks of every method: fitted, saved, loaded, applied, renamed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from models.quantize.codebook import CARD, TENSORS, Codebook
from models.quantize.kmeans import KMeansLevel, fit_kmeans
from models.quantize.levels import RenamedLevel
from models.quantize.method import default_bits
from models.quantize.methods import method_of
from models.quantize.quality import (
    entropy,
    reconstruction_errors,
)
from tests.generate import clustered
from tests.models.quantize.codebooks import FAMILY, fitted, grouped, small


def test_codebooks_of_the_format_before_are_read(tmp_path: Path) -> None:
    book = fitted(clustered(), "fsq.prefix_minimum=0", "fsq.projection=pca")
    book.save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    del card["levels"][-1]["direction"]
    (tmp_path / CARD).write_text(json.dumps(card | {"format": 2}))
    again = Codebook.load(tmp_path)
    assert np.array_equal(again.assign(clustered()), book.assign(clustered()))
    (tmp_path / CARD).write_text(json.dumps(card | {"format": 1}))
    with pytest.raises(ValueError, match="fit it again"):
        Codebook.load(tmp_path)


def test_a_kind_of_level_that_no_method_has_is_named(tmp_path: Path) -> None:
    fitted(clustered(), "method=vq", "kmeans.sizes=[4]").save(tmp_path)
    card = (tmp_path / CARD).read_text()
    (tmp_path / CARD).write_text(card.replace('"kmeans"', '"planes"'))
    with pytest.raises(
        ValueError, match="a level of unknown kind planes; the known kinds are fsq, kmeans; fit the codebook again"
    ):
        Codebook.load(tmp_path)


def test_levels_follow_their_definition() -> None:
    vectors = clustered()
    book = fitted(vectors, "method=res_kmeans", "kmeans.sizes=[6, 5]")
    left, codes = vectors, book.assign(vectors)
    for place, level in enumerate(book.levels):
        assert isinstance(level, KMeansLevel)
        distance = ((left[:, None] - level.centroids[None]) ** 2).sum(-1)
        assert np.array_equal(codes[:, place], distance.argmin(1))
        np.testing.assert_allclose(level.distances(left), distance, atol=1e-5)
        left = left - level.centroids[codes[:, place]]
    np.testing.assert_allclose(book.reconstruct(codes), vectors - left, atol=1e-6)
    assert (left**2).sum() < 0.5 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_balanced_centroids_take_about_equally_many() -> None:
    generator = np.random.default_rng(1)
    vectors = np.concatenate([generator.normal(size=(1800, 8)), 4 + 0.5 * generator.normal(size=(200, 8))]).astype(
        np.float32
    )
    plain, balanced = (fit_kmeans(vectors, 16, iterations=20, seed=3, balanced=b) for b in (False, True))
    loads = [np.bincount(level.encode(vectors), minlength=16) for level in (plain, balanced)]
    assert entropy(loads[1]) > entropy(loads[0])
    assert loads[1].max() < 1.3 * 2000 / 16 < loads[0].max()
    assert balanced.prices is not None
    cost = ((vectors[:, None] - balanced.centroids) ** 2).sum(-1) + balanced.prices
    assert np.array_equal(balanced.encode(vectors), cost.argmin(1))


@pytest.mark.parametrize("assignments", FAMILY[:2], ids=["kmeans", "balanced"])
def test_codes_do_not_depend_on_how_rows_are_batched(assignments: tuple[str, ...]) -> None:
    vectors = clustered(3000, d=64)
    book = fitted(vectors, *assignments)
    whole, _, built = book.assign_with_residuals(vectors)
    order = np.random.default_rng(2).permutation(3000)
    for rows in np.split(order, [1, 4, 700, 2500]):
        codes, _, rebuilt = book.assign_with_residuals(vectors[rows])
        assert np.array_equal(codes, whole[rows])
        assert np.array_equal(rebuilt, built[rows])


def test_overwriting_fits_the_same_codebook() -> None:
    book = fitted(clustered())
    sample = clustered()
    other = method_of(small()).fit(sample, overwrite=True)
    assert not np.array_equal(sample, clustered())
    assert np.array_equal(book.assign(clustered()), other.assign(clustered()))


def test_each_level_brings_the_reconstruction_nearer() -> None:
    vectors = clustered()
    book = fitted(vectors, "fsq.steps=140", "fsq.learning_rate=5e-3")
    codes = book.assign(vectors)
    one, two = (Codebook(book.levels[:n], 16, "res_kmeans").reconstruct(codes[:, :n]) for n in (1, 2))
    errors = [reconstruction_errors(vectors, r).mean() for r in (one, two, book.reconstruct(codes))]
    assert errors[0] > errors[1] > errors[2]


def test_default_sizes_follow_the_number_of_contents() -> None:
    assert [2 ** default_bits(n) for n in (1, 4, 5, 20_770, 65_536, 1_000_000, 10_000_000, 10**9)] == [
        2, 2, 4, 256, 256, 1024, 4096, 4096,
    ]  # fmt: skip
    empty = ("kmeans.sizes=[]", "fsq.levels=[]")
    expected = {"res_kmeans_fsq": [256] * 3, "res_kmeans": [256] * 3, "rq_vae": [256] * 3, "vq": [256], "fsq": [2**24]}
    for method, sizes in expected.items():
        assert method_of(small(*empty, f"method={method}")).sizes(20_770) == sizes
    assert method_of(small()).sizes(20_770) == [8, 8, 12]
    book = method_of(small(*empty)).fit(clustered(100), contents=5)
    assert book.sizes == [4, 4, 4]


@pytest.mark.parametrize("vectors", [clustered(n=3), clustered(n=1), np.repeat(clustered(n=1), 50, axis=0)])
@pytest.mark.parametrize("assignments", FAMILY[:6])
def test_fewer_or_equal_contents_still_give_codes(vectors: np.ndarray, assignments: tuple[str, ...]) -> None:
    book = fitted(vectors, *assignments)
    codes = book.assign(vectors)
    assert codes.shape == (len(vectors), len(book.sizes))
    assert np.isfinite(book.reconstruct(codes)).all()
    if len(vectors) == 50:
        assert len(np.unique(codes, axis=0)) == 1
        assert reconstruction_errors(vectors, book.reconstruct(codes)).max() < 1e-4


def test_hostile_embeddings_are_named() -> None:
    book = fitted(clustered())
    bad = clustered()
    bad[3, 1] = np.nan
    for call in (book.assign, fitted):
        with pytest.raises(ValueError, match="1 of 400 embeddings hold NaN or infinity, the first at row 3"):
            call(bad)
    with pytest.raises(ValueError, match="16 dimensions, not shape"):
        book.assign(clustered(d=8))
    with pytest.raises(ValueError, match="at least one embedding"):
        fitted(clustered()[:0])
    with pytest.raises(ValueError, match="rq_vae needs at least as many contents as codes in a level, 8, not 3"):
        fitted(clustered(3), *FAMILY[6])
    assert book.assign(clustered()[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", [TENSORS, CARD])
def test_a_truncated_file_is_named(name: str, tmp_path: Path) -> None:
    fitted(clustered()).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for length in (len(whole) // 2, 4, 0):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"{name} is truncated or damaged"):
            Codebook.load(tmp_path)


def test_renamed_codebooks_stand_for_the_same(tmp_path: Path) -> None:
    vectors = grouped(1000, 5)
    book = fitted(vectors, "kmeans.sizes=[12, 10]")
    names = [np.random.default_rng(i).permutation(size).astype(np.int32) for i, size in enumerate(book.sizes)]
    other = book.renamed(names)
    other.save(tmp_path)
    loaded = Codebook.load(tmp_path)
    codes, renamed = book.assign(vectors), loaded.assign(vectors)
    for level, own in enumerate(names):
        assert np.array_equal(own[codes[:, level]], renamed[:, level])
    assert np.array_equal(book.reconstruct(codes), loaded.reconstruct(renamed))
    residuals = book.assign_with_residuals(vectors)[1]
    assert np.array_equal(loaded.last_distances(residuals)[:, names[-1]], book.last_distances(residuals))
    with pytest.raises(ValueError, match="each once"):
        RenamedLevel(book.levels[0], np.zeros(12, np.int32))


def test_a_warm_start_keeps_what_codes_mean() -> None:
    book = fitted(clustered(1000))
    more = np.concatenate([clustered(1000), clustered(200, seed=5)])
    cold, warm = (fitted(more, "seed=99", start=start) for start in (None, book))
    same = [(new.assign(clustered(1000)) == book.assign(clustered(1000))).all(1).mean() for new in (cold, warm)]
    assert same[1] > 0.4 > 10 * same[0]
    other_sizes = fitted(more, "kmeans.sizes=[5, 5, 5]", start=book)
    assert other_sizes.sizes == [5, 5, 5, 12]
