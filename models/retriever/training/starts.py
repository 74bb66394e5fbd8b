"""Vectors of tokens that begin from the codebook, so that codes that are near each other begin near each other."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.quantize.codebook import Codebook
from models.retriever.network.network import Retriever


def tokens_from(network: Retriever, codebook: Path) -> None:
    """Sets the tokens' vectors to the principal components of what each code adds to a reconstruction.

    A level whose reconstruction depends on the codes before it is read at an embedding of zeros.

    Args:
        network: the network; tokens of levels that the codebook lacks stay as they are.
        codebook: folder of the codebook.
    """
    book = Codebook.load(codebook)
    width = book.space.latent if book.space else book.dimension
    tables = [cast(nn.Embedding, table) for table in network.codes.tokens]
    for table, level in zip(tables, book.levels, strict=False):
        codes = np.arange(level.size, dtype=np.int32)
        vectors = level.decode(codes, np.zeros((level.size, width), np.float32))
        start = _components(vectors, network.shape.dim)
        with torch.no_grad():
            table.weight[: level.size] = torch.from_numpy(start * network.shape.dim**-0.5)


def _components(vectors: NDArray[np.float32], dim: int) -> NDArray[np.float32]:
    """Principal components with a mean square of 1, padded with zeros, shape (n, dim)."""
    centred = vectors - vectors.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    found = (left * values)[:, :dim]
    scaled = found / max(float(np.sqrt((found**2).mean())), 1e-12)
    return np.pad(scaled, ((0, 0), (0, dim - scaled.shape[1]))).astype(np.float32)
