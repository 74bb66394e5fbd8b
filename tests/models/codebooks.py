"""Parameters of small codebooks, one of every method."""

from __future__ import annotations

from dataclasses import replace

from qarm.models.quantize.family import CodebookParameters
from qarm.models.quantize.fsq_training import FsqParameters
from qarm.models.quantize.rq_vae import RqVaeParameters

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
