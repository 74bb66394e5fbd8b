from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from vector_quantize_pytorch import FSQ

from qarm.models.quantize.codebook import CARD, TENSORS, Codebook
from qarm.models.quantize.collisions import move_to_free_codes
from qarm.models.quantize.family import CodebookParameters, default_bits, fit_codebook, with_sizes
from qarm.models.quantize.fsq import FsqQuantizer
from qarm.models.quantize.fsq_training import FsqParameters, fit_fsq
from qarm.models.quantize.kmeans import KMeansLevel, fit_kmeans
from qarm.models.quantize.levels import RenamedLevel
from qarm.models.quantize.matching import matched_names
from qarm.models.quantize.neighbours import nearest_others, read_index, write_index
from qarm.models.quantize.prefix_means import fit_prefix_means, seen_by, take_away
from qarm.models.quantize.quality import (
    collapsed_levels,
    collision_numbers,
    entropy,
    hit_rates,
    quality_of,
    reconstruction_errors,
)
from qarm.models.quantize.rq_vae import RqVaeParameters
from qarm.models.quantize.sampling import random_batches
from tests.generate import clustered

FSQ_PARAMETERS = FsqParameters([2, 2, 3], "learned", "prefix", 16, 140, 64, 1e-3, 7)
PARAMETERS = CodebookParameters(
    "res_kmeans_fsq", [8, 8], 10, False, FSQ_PARAMETERS, 3, RqVaeParameters(32, 8, 120, 128, 3e-3), 7
)
FAMILY = [
    PARAMETERS,
    replace(PARAMETERS, kmeans_balanced=True),
    replace(PARAMETERS, fsq=replace(FSQ_PARAMETERS, projection="pca")),
    replace(PARAMETERS, fsq=replace(FSQ_PARAMETERS, decoder="mirrored")),
    replace(PARAMETERS, method="res_kmeans", kmeans_sizes=[8, 6, 4, 4]),
    replace(PARAMETERS, method="vq", kmeans_sizes=[20]),
    replace(PARAMETERS, method="rq_vae", kmeans_sizes=[8, 8, 8]),
    replace(PARAMETERS, method="fsq", fsq=replace(FSQ_PARAMETERS, levels=[3] * 6, steps=420)),
]


@pytest.mark.parametrize("levels", [[2, 2, 2], [8, 5, 3], [4], [2, 7, 6]])
def test_fsq_agrees_code_for_code_with_vector_quantize_pytorch(levels: list[int]) -> None:
    ours, theirs = FsqQuantizer(levels), FSQ(levels, preserve_symmetry=True)
    z = torch.randn(5000, len(levels), generator=torch.Generator().manual_seed(1)) * 2
    values, indices = theirs(z[None])
    assert torch.equal(ours.codes(z), indices[0].long())
    torch.testing.assert_close(ours(z), values[0])
    torch.testing.assert_close(ours.values(ours.codes(z)), values[0])


@pytest.mark.parametrize("levels", [[8, 5, 5, 5], [7, 3], [4, 6]])
def test_fsq_agrees_with_the_other_bound_on_the_same_bounded_input(levels: list[int]) -> None:
    # Theirs shifts even levels by half a step and rounds; the bounded values are the same numbers, ours start from 0.
    ours, theirs = FsqQuantizer(levels), FSQ(levels)
    sizes = torch.tensor(levels)
    z = torch.randn(5000, len(levels), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    half, offset = (sizes - 1) * 1.001 / 2, torch.where(sizes % 2 == 0, 0.5, 0.0)
    bounded = (z + (offset / half).atanh()).tanh() * half - offset + sizes // 2
    inside = ((bounded > 0.01) & (bounded < sizes - 1.01)).all(1)
    mine = (bounded[inside] * 2 / (sizes - 1) - 1).atanh()
    assert inside.sum() > 1000
    torch.testing.assert_close(ours.bound(mine), bounded[inside])
    assert torch.equal(ours.codes(mine), theirs(z[None])[1][0][inside].long())


def test_fsq_reaches_every_code_and_values_invert_codes() -> None:
    quantizer = FsqQuantizer([3, 2, 4])
    codes = torch.arange(24)
    assert len({tuple(row) for row in quantizer.values(codes).tolist()}) == 24
    grid = torch.tensor(list(itertools.product([-9.0, 0.0, 9.0], [-9.0, 9.0], [-9.0, -0.4, 0.4, 9.0])))
    assert set(quantizer.codes(grid).tolist()) == set(range(24))


def test_fsq_gradient_passes_straight_through_the_rounding() -> None:
    quantizer = FsqQuantizer([5])
    z = torch.tensor([[0.3]], requires_grad=True)
    quantizer(z).sum().backward()
    assert z.grad is not None
    assert z.grad.item() == pytest.approx(1 - np.tanh(0.3) ** 2, rel=1e-5)


def test_fsq_training_beats_its_start_and_does_not_collapse() -> None:
    vectors = clustered() * 0.1
    few, many = (
        fit_fsq(vectors, replace(FSQ_PARAMETERS, levels=[2] * 6, hidden=32, steps=steps, learning_rate=3e-3))
        for steps in (7, 420)
    )
    none = np.zeros_like(vectors)
    error = [float(((vectors - model.decode(model.encode(vectors), none)) ** 2).mean()) for model in (few, many)]
    assert error[1] < 0.8 * error[0]
    assert error[1] < 0.7 * float(vectors.var(0).mean())
    assert len(np.unique(many.encode(vectors))) >= 12


def test_the_prefix_decoder_leaves_codes_alone_and_reconstructs_better() -> None:
    vectors = clustered(2000)
    fsq = replace(FSQ_PARAMETERS, levels=[2, 2], steps=1900, learning_rate=3e-3, hidden=64)
    without = replace(PARAMETERS, prefix_minimum=0)
    mirrored, prefix = (
        fit_codebook(vectors, replace(without, fsq=replace(fsq, decoder=d))) for d in ("mirrored", "prefix")
    )
    assert np.array_equal(mirrored.assign(vectors), prefix.assign(vectors))
    errors = [quality_of(book, vectors)["reconstruction_error"] for book in (mirrored, prefix)]
    assert errors[1] < 0.97 * errors[0]


def test_the_projection_sees_a_residuals_direction_alone() -> None:
    vectors = clustered()
    level = fit_fsq(vectors, FSQ_PARAMETERS)
    centre = level.mean.numpy()
    nearer = (centre + 0.01 * (vectors - centre)).astype(np.float32)
    same = level.encode(nearer) == level.encode(vectors)
    assert same.mean() > 0.99, "but for a float's rounding"
    of_pca = fit_fsq(vectors, replace(FSQ_PARAMETERS, projection="pca", levels=[3, 3]))
    assert (of_pca.encode(nearer) == of_pca.encode(np.broadcast_to(of_pca.mean.numpy(), vectors.shape))).all()


def grouped(n: int, seed: int) -> NDArray[np.float32]:
    """Three hundred tight groups, many more than there are centroids."""
    generator, own = np.random.default_rng(4), np.random.default_rng(seed)
    centres = generator.normal(size=(300, 16))
    vectors = centres[own.integers(300, size=n)] + 0.25 * own.normal(size=(n, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_prefix_means_give_new_contents_better_codes() -> None:
    fsq = replace(FSQ_PARAMETERS, levels=[2] * 4, steps=600, hidden=64)
    parameters = replace(PARAMETERS, kmeans_sizes=[16, 16], fsq=fsq)
    books = [fit_codebook(grouped(4000, 5), replace(parameters, prefix_minimum=m)) for m in (0, 3)]
    without, means = (quality_of(book, grouped(2000, 6)) for book in books)
    assert books[0].prefix_means is None
    assert means["reconstruction_error"] < 0.8 * without["reconstruction_error"]
    assert means["collision_rate"] < 0.9 * without["collision_rate"]


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
    np.testing.assert_allclose(means.own_shares(asked), [0, shares[1], 0, shares[0]], rtol=1e-6)
    other = means.renamed([np.array([3, 0, 2, 1], np.int32), None])
    np.testing.assert_array_equal(other.of(np.array([[1, 1], [0, 2]], np.int32)), means.of(asked[[1, 3]]))
    assert len(fit_prefix_means(residual, codes, [4, 3], minimum=1)) == 3
    monkeypatch.setattr("qarm.models.quantize.prefix_means.MOST_PREFIXES", 1)
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
    take_away(means, left, codes)
    _, place, counts = np.unique(codes, axis=0, return_inverse=True, return_counts=True)
    drawn_by = 1 / means.own_shares(codes) - counts[place.ravel()]
    for row in range(40):
        others = np.flatnonzero((codes == codes[row]).all(1) & (np.arange(40) != row))
        mean = residual[others].sum(0) / (len(others) + drawn_by[row])
        np.testing.assert_allclose(left[row], residual[row] - mean, rtol=1e-2, atol=5e-3)
    np.testing.assert_allclose(seen_by(means, left, codes), residual - left, atol=5e-3)


def test_codebooks_of_the_format_before_are_read(tmp_path: Path) -> None:
    book = fit_codebook(
        clustered(), replace(PARAMETERS, prefix_minimum=0, fsq=replace(FSQ_PARAMETERS, projection="pca"))
    )
    book.save(tmp_path)
    card = json.loads((tmp_path / CARD).read_text())
    del card["levels"][-1]["direction"]
    (tmp_path / CARD).write_text(json.dumps(card | {"format": 2}))
    again = Codebook.load(tmp_path)
    assert np.array_equal(again.assign(clustered()), book.assign(clustered()))
    (tmp_path / CARD).write_text(json.dumps(card | {"format": 1}))
    with pytest.raises(ValueError, match="fit it again"):
        Codebook.load(tmp_path)


def test_pca_projects_on_the_leading_components() -> None:
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(500, 2)) @ generator.normal(size=(2, 12)) * [[3.0]]
    vectors = (plane + 0.01 * generator.normal(size=(500, 12))).astype(np.float32)
    level = fit_fsq(vectors, replace(FSQ_PARAMETERS, projection="pca", levels=[9, 9]))
    assert level.prefix_decoder is None
    rebuilt = level.decode(level.encode(vectors), np.zeros_like(vectors))
    assert ((vectors - rebuilt) ** 2).sum() < 0.1 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_random_batches_pass_over_every_row_before_any_comes_again() -> None:
    batches = random_batches(10, 4, torch.Generator().manual_seed(0))
    passes = [torch.cat([next(batches) for _ in range(3)]) for _ in range(2)]
    assert all(sorted(one.tolist()) == list(range(10)) for one in passes)
    assert passes[0].tolist() != passes[1].tolist()


def test_levels_follow_their_definition() -> None:
    vectors = clustered()
    book = fit_codebook(vectors, replace(PARAMETERS, method="res_kmeans", kmeans_sizes=[6, 5]))
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
    plain, balanced = (fit_kmeans(vectors, 16, 20, 3, balanced=b) for b in (False, True))
    loads = [np.bincount(level.encode(vectors), minlength=16) for level in (plain, balanced)]
    assert entropy(loads[1]) > entropy(loads[0])
    assert loads[1].max() < 1.3 * 2000 / 16 < loads[0].max()
    assert balanced.prices is not None
    cost = ((vectors[:, None] - balanced.centroids) ** 2).sum(-1) + balanced.prices
    assert np.array_equal(balanced.encode(vectors), cost.argmin(1))


@pytest.mark.parametrize(
    "parameters", FAMILY, ids=lambda p: f"{p.method}-{p.fsq.projection}-{p.fsq.decoder}-{p.kmeans_balanced}"
)
def test_every_method_is_fitted_saved_loaded_and_applied_alike(parameters: CodebookParameters, tmp_path: Path) -> None:
    vectors, fresh = clustered(), clustered(seed=9)
    kept = vectors.copy()
    book, twin = (fit_codebook(vectors, parameters) for _ in range(2))
    assert np.array_equal(vectors, kept), "the sample is not touched"
    assert np.array_equal(book.assign(fresh), twin.assign(fresh)), "bit-identical fits"
    assert np.array_equal(book.reconstruct(book.assign(fresh)), twin.reconstruct(twin.assign(fresh)))
    book.card = {"fitted_on": 400}
    book.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [CARD, TENSORS]
    again = Codebook.load(tmp_path)
    assert (again.sizes, again.dimension, again.method) == (book.sizes, 16, parameters.method)
    assert again.card == {"fitted_on": 400}
    codes, residuals, reconstructions = again.assign_with_residuals(fresh)
    assert np.array_equal(codes, book.assign(fresh))
    assert np.array_equal(reconstructions, book.reconstruct(codes))
    assert codes.max(0).tolist() <= [size - 1 for size in book.sizes]
    own = book.last_distances(residuals)
    assert own.shape == (400, book.sizes[-1])
    assert np.array_equal(own.argmin(1), codes[:, -1]), "the code is the nearest in its level's own space"
    blank = reconstruction_errors(fresh, np.broadcast_to(vectors.mean(0), fresh.shape))
    assert reconstruction_errors(fresh, reconstructions).mean() < 0.8 * blank.mean()


@pytest.mark.parametrize("parameters", FAMILY[:2], ids=["kmeans", "balanced"])
def test_codes_do_not_depend_on_how_rows_are_batched(parameters: CodebookParameters) -> None:
    vectors = clustered(3000, d=64)
    book = fit_codebook(vectors, parameters)
    whole, _, built = book.assign_with_residuals(vectors)
    order = np.random.default_rng(2).permutation(3000)
    for rows in np.split(order, [1, 4, 700, 2500]):
        codes, _, rebuilt = book.assign_with_residuals(vectors[rows])
        assert np.array_equal(codes, whole[rows])
        assert np.array_equal(rebuilt, built[rows])


def test_overwriting_fits_the_same_codebook() -> None:
    book = fit_codebook(clustered(), PARAMETERS)
    sample = clustered()
    other = fit_codebook(sample, PARAMETERS, overwrite=True)
    assert not np.array_equal(sample, clustered())
    assert np.array_equal(book.assign(clustered()), other.assign(clustered()))


def test_each_level_brings_the_reconstruction_nearer() -> None:
    vectors = clustered()
    book = fit_codebook(vectors, replace(PARAMETERS, fsq=replace(FSQ_PARAMETERS, steps=700)))
    codes = book.assign(vectors)
    one, two = (Codebook(book.levels[:n], 16, "res_kmeans").reconstruct(codes[:, :n]) for n in (1, 2))
    errors = [reconstruction_errors(vectors, r).mean() for r in (one, two, book.reconstruct(codes))]
    assert errors[0] > errors[1] > errors[2]


def test_default_sizes_follow_the_number_of_contents() -> None:
    assert [2 ** default_bits(n) for n in (1, 4, 5, 20_770, 65_536, 1_000_000, 10_000_000, 10**9)] == [
        2, 2, 4, 256, 256, 1024, 4096, 4096,
    ]  # fmt: skip
    empty = replace(PARAMETERS, kmeans_sizes=[], fsq=replace(FSQ_PARAMETERS, levels=[]))
    sized = with_sizes(empty, 20_770)
    assert (list(sized.kmeans_sizes), list(sized.fsq.levels)) == ([256, 256], [2] * 8)
    assert list(with_sizes(replace(empty, method="res_kmeans"), 20_770).kmeans_sizes) == [256] * 3
    assert list(with_sizes(replace(empty, method="fsq"), 20_770).fsq.levels) == [2] * 24
    assert list(with_sizes(PARAMETERS, 20_770).kmeans_sizes) == [8, 8]


@pytest.mark.parametrize("vectors", [clustered(n=3), clustered(n=1), np.repeat(clustered(n=1), 50, axis=0)])
@pytest.mark.parametrize("parameters", FAMILY[:6])
def test_fewer_or_equal_contents_still_give_codes(vectors: np.ndarray, parameters: CodebookParameters) -> None:
    book = fit_codebook(vectors, parameters)
    codes = book.assign(vectors)
    assert codes.shape == (len(vectors), len(book.sizes))
    assert np.isfinite(book.reconstruct(codes)).all()
    if len(vectors) == 50:
        assert len(np.unique(codes, axis=0)) == 1
        assert reconstruction_errors(vectors, book.reconstruct(codes)).max() < 1e-4


def test_hostile_embeddings_are_named() -> None:
    book = fit_codebook(clustered(), PARAMETERS)
    bad = clustered()
    bad[3, 1] = np.nan
    for call in (book.assign, lambda vectors: fit_codebook(vectors, PARAMETERS)):
        with pytest.raises(ValueError, match="1 of 400 embeddings hold NaN or infinity, the first at row 3"):
            call(bad)
    with pytest.raises(ValueError, match="16 dimensions, not shape"):
        book.assign(clustered(d=8))
    with pytest.raises(ValueError, match="at least one embedding"):
        fit_codebook(clustered()[:0], PARAMETERS)
    with pytest.raises(ValueError, match="rq_vae with levels of 8 codes needs as many contents, not 3"):
        fit_codebook(clustered(3), FAMILY[6])
    assert book.assign(clustered()[:0]).shape == (0, 3)


@pytest.mark.parametrize("name", [TENSORS, CARD])
def test_a_truncated_file_is_named(name: str, tmp_path: Path) -> None:
    fit_codebook(clustered(), PARAMETERS).save(tmp_path)
    whole = (tmp_path / name).read_bytes()
    for length in (len(whole) // 2, 4, 0):
        (tmp_path / name).write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"{name} is truncated or damaged"):
            Codebook.load(tmp_path)


def test_names_are_matched_by_the_contents_that_codes_share() -> None:
    generator = np.random.default_rng(0)
    old = np.stack([generator.integers(20, size=3000), generator.integers(15, size=3000)], 1).astype(np.int32)
    shuffles = [generator.permutation(20), generator.permutation(15)]
    new = np.stack([shuffle[level] for shuffle, level in zip(shuffles, old.T, strict=True)], 1).astype(np.int32)
    noise = generator.random(3000) < 0.1
    new[noise] = new[generator.permutation(3000)[: noise.sum()]]
    names = matched_names(old, new, [20, 15])
    renamed = np.stack([own[level] for own, level in zip(names, new.T, strict=True)], 1)
    assert (renamed == old).all(1)[~noise].all()
    fewer = matched_names(old[:, :1], new % 8, [8, 15])
    assert sorted(fewer[0]) == list(range(8))
    assert fewer[1] is None, "a level that was not there keeps its own names"
    padded = matched_names(np.where(old == 3, -1, old), new, [20, 70_000])
    assert padded[1] is None, "too many codes to match"
    assert sorted(padded[0]) == list(range(20))


def test_matching_is_an_assignment_and_not_greedy() -> None:
    # Code 0 shares 5 with name 0 and 4 with name 1; code 1 shares 4 with name 0 and nothing else. 4 + 4 beats 5 + 0.
    old = np.repeat([0, 1, 0], [5, 4, 4]).astype(np.int32)[:, None]
    new = np.repeat([0, 0, 1], [5, 4, 4]).astype(np.int32)[:, None]
    assert matched_names(old, new, [2])[0].tolist() == [1, 0]


def test_renamed_codebooks_stand_for_the_same(tmp_path: Path) -> None:
    book = fit_codebook(clustered(), PARAMETERS)
    names = [np.random.default_rng(i).permutation(size).astype(np.int32) for i, size in enumerate(book.sizes)]
    other = book.renamed(names)
    other.save(tmp_path)
    loaded = Codebook.load(tmp_path)
    codes, renamed = book.assign(clustered()), loaded.assign(clustered())
    for level, own in enumerate(names):
        assert np.array_equal(own[codes[:, level]], renamed[:, level])
    assert np.array_equal(book.reconstruct(codes), loaded.reconstruct(renamed))
    residuals = book.assign_with_residuals(clustered())[1]
    assert np.array_equal(loaded.last_distances(residuals)[:, names[-1]], book.last_distances(residuals))
    with pytest.raises(ValueError, match="each once"):
        RenamedLevel(book.levels[0], np.zeros(8, np.int32))


def test_a_warm_start_keeps_what_codes_mean() -> None:
    book = fit_codebook(clustered(1000), PARAMETERS)
    grown = np.concatenate([clustered(1000), clustered(200, seed=5)])
    cold, warm = (fit_codebook(grown, replace(PARAMETERS, seed=99), start=start) for start in (None, book))
    same = [(new.assign(clustered(1000)) == book.assign(clustered(1000))).all(1).mean() for new in (cold, warm)]
    assert same[1] > 0.4 > 10 * same[0]
    other_sizes = fit_codebook(grown, replace(PARAMETERS, kmeans_sizes=[5, 5, 5]), start=book)
    assert other_sizes.sizes == [5, 5, 5, 12]


def test_the_surplus_goes_to_the_nearest_code_with_room() -> None:
    distances = np.array([[1.0, 2.0, 9.0], [1.0, 1.5, 3.0], [1.0, 4.0, 8.0]], np.float32)
    own, load = np.zeros(3, np.int32), np.array([1, 0, 0])
    # Room for one each: 1.5 is the smallest, so the second content takes code 1; then 8 < 9 gives the third code 2.
    assert move_to_free_codes(distances, own, load, cap=1).tolist() == [0, 1, 2]
    # Room for one more in code 0, which the first of three equals takes, and for two in code 1.
    assert move_to_free_codes(distances, own, load, cap=2).tolist() == [0, 1, 1]
    assert move_to_free_codes(distances, own, np.array([1, 1, 1]), cap=1).tolist() == [0, 0, 0]


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
    book = fit_codebook(clustered(), PARAMETERS)
    numbers = quality_of(book, clustered())
    codes = book.assign(clustered())
    assert numbers["unique_rate"] == len(np.unique(codes, axis=0)) / 400
    assert numbers["used.level_2"] == len(np.unique(codes[:, 1]))
    assert 0 < numbers["hr@1"] <= numbers["hr@10"] <= 1


def test_neighbours_are_the_nearest_others() -> None:
    vectors = clustered(40)
    own = np.arange(40)
    near = nearest_others(vectors, vectors, own, 5)
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -np.inf)
    assert np.array_equal(near, np.argsort(-similarity, axis=1)[:, :5])
    assert nearest_others(vectors[:1], vectors[:1], np.array([0]), 5).shape == (1, 0)


def test_neighbours_do_not_depend_on_how_queries_are_batched() -> None:
    vectors = clustered(2000, d=64)
    whole = nearest_others(vectors, vectors, np.arange(2000), 25)
    for rows in np.split(np.arange(2000), [1, 16, 116]):
        assert np.array_equal(nearest_others(vectors[rows], vectors, rows, 25), whole[rows])


def test_neighbours_of_equal_vectors_never_include_the_own() -> None:
    same = np.repeat(clustered(1), 12, axis=0)
    near = nearest_others(same, same, np.arange(12), 3)
    assert near.shape == (12, 3)
    assert not (near == np.arange(12)[:, None]).any()


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_finds_nearly_the_same_neighbours(kind: str, tmp_path: Path) -> None:
    vectors = clustered(6000)
    write_index(vectors, kind, tmp_path / "index")
    own = np.arange(0, 6000, 20)
    exact = nearest_others(vectors[own], vectors, own, 10)
    found = nearest_others(vectors[own], read_index(tmp_path / "index"), own, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(exact, found, strict=True)]) > 0.9
    assert not (found == own[:, None]).any()
