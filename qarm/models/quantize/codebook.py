"""A fitted Res-KmeansFSQ codebook: two k-means levels and an FSQ level (QARM V2)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from qarm.models.quantize.fsq import FsqAutoencoder, fit_fsq
from qarm.models.quantize.residual_kmeans import fit_residual_kmeans, nearest

TENSORS = "codebook.safetensors"
CARD = "codebook.json"


@dataclass(frozen=True)
class CodebookParameters:
    """Sizes and training of a codebook.

    Attributes:
        kmeans_sizes: centroids of the k-means levels.
        kmeans_iterations: Lloyd iterations.
        fsq_levels: values of each FSQ dimension; their product is the size of the last level.
        fsq_hidden: width of the FSQ networks.
        fsq_epochs: passes over the sample.
        fsq_batch_size: vectors a step.
        fsq_learning_rate: AdamW's.
        seed: of everything random.
    """

    kmeans_sizes: Sequence[int]
    kmeans_iterations: int
    fsq_levels: Sequence[int]
    fsq_hidden: int
    fsq_epochs: int
    fsq_batch_size: int
    fsq_learning_rate: float
    seed: int


class Codebook:
    """Assigns codes to embeddings, and gives back what codes stand for.

    Args:
        centroids: of each k-means level, shape (size, d).
        fsq: the last level.
        parameters: what it was fitted with.
    """

    def __init__(
        self, centroids: Sequence[NDArray[np.float32]], fsq: FsqAutoencoder, parameters: CodebookParameters
    ) -> None:
        self.centroids = list(centroids)
        self.fsq = fsq.eval()
        self.parameters = parameters

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], parameters: CodebookParameters) -> Codebook:
        """Fits all levels.

        Args:
            embeddings: L2-normalised, shape (n, d).
            parameters: sizes and training.

        Raises:
            ValueError: no embeddings, or some that are not finite.
        """
        _assert_finite(embeddings)
        p = parameters
        centroids, residual = fit_residual_kmeans(embeddings, p.kmeans_sizes, p.kmeans_iterations, p.seed)
        fsq = fit_fsq(
            residual, p.fsq_levels, p.fsq_hidden, p.fsq_epochs, p.fsq_batch_size, p.fsq_learning_rate, p.seed
        )  # fmt: skip
        return cls(centroids, fsq, parameters)

    @property
    def sizes(self) -> list[int]:
        """Codes of every level."""
        return [*(len(level) for level in self.centroids), self.fsq.quantizer.size]

    @property
    def dimension(self) -> int:
        """Dimension of the embeddings it takes."""
        return int(self.centroids[0].shape[1])

    def assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of embeddings.

        Args:
            embeddings: shape (n, d).

        Returns:
            Shape (n, levels).

        Raises:
            ValueError: another dimension than the codebook's, or values that are not finite.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension:
            raise ValueError(
                f"the codebook takes embeddings of {self.dimension} dimensions, not shape {embeddings.shape}"
            )
        _assert_finite(embeddings)
        residual = np.ascontiguousarray(embeddings, np.float32)
        codes = []
        for centroids in self.centroids:
            found = nearest(residual, centroids)
            residual = residual - centroids[found]
            codes.append(found)
        return np.stack([*codes, self.fsq.encode(residual)], axis=1)

    def reconstruct(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """What codes of shape (n, levels) stand for, shape (n, d)."""
        levels = [centroids[codes[:, i]] for i, centroids in enumerate(self.centroids)]
        return np.add.reduce([*levels, self.fsq.decode(codes[:, -1])]).astype(np.float32)

    def save(self, folder: Path) -> None:
        """Writes one safetensors file and one JSON card."""
        tensors = {f"kmeans_{i + 1}": torch.from_numpy(level) for i, level in enumerate(self.centroids)}
        tensors |= {f"fsq.{name}": value for name, value in self.fsq.state_dict().items()}
        save_file(tensors, folder / TENSORS)
        card = {"method": "res_kmeans_fsq", "sizes": self.sizes, "parameters": asdict(self.parameters)}
        (folder / CARD).write_text(json.dumps(card, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Codebook:
        """Reads what :meth:`save` wrote."""
        parameters = CodebookParameters(**json.loads((folder / CARD).read_text(encoding="utf-8"))["parameters"])
        tensors = load_file(folder / TENSORS)
        centroids = [tensors[f"kmeans_{i + 1}"].numpy() for i in range(len(parameters.kmeans_sizes))]
        fsq = FsqAutoencoder(centroids[0].shape[1], parameters.fsq_levels, parameters.fsq_hidden)
        fsq.load_state_dict({k.removeprefix("fsq."): v for k, v in tensors.items() if k.startswith("fsq.")})
        return cls(centroids, fsq, parameters)


def _assert_finite(embeddings: NDArray[np.float32]) -> None:
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {len(embeddings)} embeddings hold NaN or infinity,"
            f" the first at row {int(bad.argmax())}"
        )
