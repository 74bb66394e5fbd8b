"""Parameters of small codebooks, one of every method, and contents in groups."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.quantize.family import CodebookParameters
from models.quantize.fsq_training import FsqParameters
from models.quantize.rq_vae import RqVaeParameters

FSQ_PARAMETERS = FsqParameters([2, 2, 3], "learned", "prefix", 16, 140, 64, 1e-3, 7)

PARAMETERS = CodebookParameters(
    "res_kmeans_fsq", [8, 8], 10, False, FSQ_PARAMETERS, 1, RqVaeParameters(32, 8, 120, 128, 3e-3), 7
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


def grouped(n: int, seed: int) -> NDArray[np.float32]:
    """Three hundred tight groups, many more than there are centroids."""
    generator, own = np.random.default_rng(4), np.random.default_rng(seed)
    centres = generator.normal(size=(300, 16))
    vectors = centres[own.integers(300, size=n)] + 0.25 * own.normal(size=(n, 16))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
