"""The FSQ quantizer, its level and its training."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from vector_quantize_pytorch import FSQ

from models.quantize.fsq import FsqQuantizer
from models.quantize.fsq_training import fit_fsq
from models.quantize.quality import quality_of
from models.quantize.sampling import random_batches
from schemas.codebook_sections import FsqSettings
from tests.generate import clustered
from tests.models.quantize.codebooks import fitted, small


def fsq(*assignments: str) -> FsqSettings:
    return small(*(f"fsq.{assignment}" for assignment in assignments)).fsq


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
        fit_fsq(vectors, fsq("levels=[2, 2, 2, 2, 2, 2]", "hidden=32", f"steps={steps}", "learning_rate=3e-3"), seed=7)
        for steps in (7, 420)
    )
    none = np.zeros_like(vectors)
    error = [float(((vectors - model.decode(model.encode(vectors), none)) ** 2).mean()) for model in (few, many)]
    assert error[1] < 0.8 * error[0]
    assert error[1] < 0.7 * float(vectors.var(0).mean())
    assert len(np.unique(many.encode(vectors))) >= 12


def test_the_prefix_decoder_leaves_codes_alone_and_reconstructs_better() -> None:
    vectors = clustered(1000)
    changed = ("prefix_minimum=0", "levels=[2, 2]", "steps=250", "learning_rate=1e-2", "hidden=64")
    mirrored, prefix = (
        fitted(vectors, *(f"fsq.{change}" for change in (*changed, f"decoder={d}"))) for d in ("mirrored", "prefix")
    )
    assert np.array_equal(mirrored.assign(vectors), prefix.assign(vectors))
    errors = [quality_of(book, vectors)["reconstruction_error"] for book in (mirrored, prefix)]
    assert errors[1] < 0.97 * errors[0]


def test_the_projection_sees_a_residuals_direction_alone() -> None:
    vectors = clustered()
    level = fit_fsq(vectors, fsq(), seed=7)
    centre = level.mean.numpy()
    nearer = (centre + 0.01 * (vectors - centre)).astype(np.float32)
    same = level.encode(nearer) == level.encode(vectors)
    assert same.mean() > 0.99, "but for a float's rounding"
    of_pca = fit_fsq(vectors, fsq("projection=pca", "levels=[3, 3]"), seed=7)
    assert (of_pca.encode(nearer) == of_pca.encode(np.broadcast_to(of_pca.mean.numpy(), vectors.shape))).all()


def test_a_level_that_saw_lengths_is_not_gone_on_from() -> None:
    vectors = clustered()
    settings = fsq("steps=20")
    start = fit_fsq(vectors, fsq(), seed=1)
    anew, warm = fit_fsq(vectors, settings, seed=7), fit_fsq(vectors, settings, seed=7, start=start)
    assert not np.array_equal(anew.encode(vectors), warm.encode(vectors))
    start.direction = False  # as levels of codebooks of format 2 are
    assert np.array_equal(anew.encode(vectors), fit_fsq(vectors, settings, seed=7, start=start).encode(vectors))


def test_pca_projects_on_the_leading_components() -> None:
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(500, 2)) @ generator.normal(size=(2, 12)) * [[3.0]]
    vectors = (plane + 0.01 * generator.normal(size=(500, 12))).astype(np.float32)
    level = fit_fsq(vectors, fsq("projection=pca", "levels=[9, 9]"), seed=7)
    assert level.prefix_decoder is None
    rebuilt = level.decode(level.encode(vectors), np.zeros_like(vectors))
    assert ((vectors - rebuilt) ** 2).sum() < 0.1 * ((vectors - vectors.mean(0)) ** 2).sum()


def test_random_batches_pass_over_every_row_before_any_comes_again() -> None:
    batches = random_batches(10, 4, torch.Generator().manual_seed(0))
    passes = [torch.cat([next(batches) for _ in range(3)]) for _ in range(2)]
    assert all(sorted(one.tolist()) == list(range(10)) for one in passes)
    assert passes[0].tolist() != passes[1].tolist()
