"""Settings of small codebooks, and contents in groups."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.quantize.codebook import Codebook
from models.quantize.methods import method_of
from schemas.codebook_sections import CodebookSettings
from schemas.settings import load_settings

SMALL = (
    "kmeans.sizes=[8, 8]",
    "kmeans.iterations=10",
    "fsq.levels=[2, 2, 3]",
    "fsq.hidden=16",
    "fsq.steps=140",
    "fsq.batch_size=64",
    "rq_vae.hidden=32",
    "rq_vae.latent=8",
    "rq_vae.steps=120",
    "rq_vae.batch_size=128",
    "rq_vae.learning_rate=3e-3",
    "seed=7",
)

FAMILY = (
    (),
    ("kmeans.balanced=true",),
    ("fsq.projection=pca",),
    ("fsq.decoder=mirrored",),
    ("method=res_kmeans", "kmeans.sizes=[8, 6, 4, 4]"),
    ("method=vq", "kmeans.sizes=[20]"),
    ("method=rq_vae", "kmeans.sizes=[8, 8, 8]"),
    ("method=fsq", "fsq.levels=[3, 3, 3, 3, 3, 3]", "fsq.steps=420"),
)
"""What to change for one codebook of every kind."""


def small(*assignments: str) -> CodebookSettings:
    """Settings of a small codebook; each assignment is of a setting of ``[codebook]``."""
    return load_settings((), [f"codebook.{assignment}" for assignment in (*SMALL, *assignments)]).codebook


def fitted(vectors: NDArray[np.float32], *assignments: str, start: Codebook | None = None) -> Codebook:
    """A small codebook."""
    return method_of(small(*assignments)).fit(vectors, start=start)


def grouped(n: int, seed: int) -> NDArray[np.float32]:
    """Three hundred tight groups, many more than there are centroids."""
    generator, own = np.random.default_rng(4), np.random.default_rng(seed)
    centres = generator.normal(size=(300, 16))
    vectors = centres[own.integers(300, size=n)] + 0.25 * own.normal(size=(n, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
