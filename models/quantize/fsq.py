"""Finite scalar quantization (Mentzer et al., arXiv 2309.15505) with a projection to few dimensions and back.

QARM V2 quantizes the residual of two k-means levels by FSQ: k-means follows the density of the data and merges rare
points, while FSQ does not depend on the distribution. The paper does not say how the projection is trained. Here it is
trained on the residual's direction, together with a mirrored decoder, by the mean squared error of the reconstruction.
Then the codes are frozen, and a second decoder is trained that also reads the reconstruction by the previous levels (as
in QINCo, arXiv 2401.14732), because the meaning of a code differs between prefixes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.quantize.levels import Level


class FsqQuantizer(nn.Module):
    """Bounds each of n dimensions, rounds it to one of its levels, and combines the digits to a mixed-radix code.

    The bound is symmetric (arXiv 2411.19842, section 3.2): with 2 levels the boundary lies at 0.

    Args:
        levels: number of values of each dimension, at least 2.

    Raises:
        ValueError: a dimension has fewer than 2 levels.
    """

    levels: torch.Tensor
    basis: torch.Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"codebook.fsq.levels: every dimension needs at least 2 levels, not {list(levels)}")
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int64), persistent=False)
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]], dtype=torch.int64), 0)
        self.register_buffer("basis", basis, persistent=False)
        self.size = math.prod(levels)

    def bound(self, z: torch.Tensor) -> torch.Tensor:
        """Bounds z, shape (…, n), to [0, levels - 1]."""
        return (self.levels - 1) * (z.tanh() + 1) / 2

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Quantizes z, shape (…, n), to values in [-1, 1]; the rounding uses the straight-through gradient."""
        bounded = self.bound(z)
        digits = bounded + ((bounded + 0.5).floor() - bounded).detach()
        return digits * 2 / (self.levels - 1) - 1

    def codes(self, z: torch.Tensor) -> torch.Tensor:
        """The code of z: shape (…, n) to (…), in [0, size)."""
        return ((self.bound(z) + 0.5).floor().to(torch.int64) * self.basis).sum(-1)

    def digits(self, codes: torch.Tensor) -> torch.Tensor:
        """The digits of codes: shape (…) to (…, n)."""
        return codes[..., None] // self.basis % self.levels

    def values(self, codes: torch.Tensor) -> torch.Tensor:
        """The quantized values of codes: shape (…) to (…, n)."""
        return self.digits(codes) * 2 / (self.levels - 1) - 1


class PrefixDecoder(nn.Module):
    """Decodes quantized values together with the reconstruction by the previous levels.

    Args:
        dimension: dimension d of the vectors.
        values: number n of quantized values per vector.
        hidden: width of the hidden layers.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(self, dimension: int, values: int, hidden: int) -> None:
        super().__init__()
        self.values = nn.Linear(values, hidden)
        self.before = nn.Linear(dimension, hidden)
        self.join = nn.Sequential(nn.ReLU(), nn.Linear(2 * hidden, hidden), nn.ReLU(), nn.Linear(hidden, dimension))
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, values: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        """Decodes values, shape (batch, n), and previous reconstructions, shape (batch, d), to shape (batch, d)."""
        seen = self.before((before - self.mean) / self.scale)
        return self.join(torch.cat([self.values(values), seen], 1))


class FsqLevel(nn.Module, Level):
    """An FSQ level: encoder ``d -> hidden -> n``, FSQ, and the mirrored decoder; linear maps if ``hidden`` is 0.

    Args:
        dimension: dimension d of the vectors.
        levels: number of values of each FSQ dimension.
        hidden: width of the hidden layer; 0 for none.
        prefix_hidden: width of the prefix decoder; 0 to use only the mirrored decoder.
        direction: whether the encoder reads only a vector's direction. The short residuals of a dense group then get
            codes as different as the long residuals of a sparse one; otherwise they would all be rounded alike.
    """

    kind = "fsq"
    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, dimension: int, levels: Sequence[int], hidden: int, *, prefix_hidden: int = 0, direction: bool = False
    ) -> None:
        super().__init__()
        self.direction = direction
        self.quantizer = FsqQuantizer(levels)
        n = len(levels)
        before = [nn.Linear(dimension, hidden), nn.ReLU()] if hidden else []
        after = [nn.Linear(n, hidden), nn.ReLU()] if hidden else []
        self.encoder = nn.Sequential(*before)
        self.project = nn.Linear(hidden or dimension, n)
        self.decoder = nn.Sequential(*after, nn.Linear(hidden or n, dimension))
        self.prefix_decoder = PrefixDecoder(dimension, n, prefix_hidden) if prefix_hidden else None
        self.register_buffer("mean", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(()))

    @property
    def size(self) -> int:
        """Number of codes: the product of the levels."""
        return self.quantizer.size

    def standardise(self, vectors: torch.Tensor) -> torch.Tensor:
        """Centres vectors and scales all dimensions by one number, as the network reads them."""
        return (vectors - self.mean) / self.scale

    def latent(self, vectors: torch.Tensor) -> torch.Tensor:
        """Projects standardised vectors to the values that FSQ quantizes: shape (batch, d) to (batch, n)."""
        if self.direction:
            vectors = nn.functional.normalize(vectors, dim=-1) * math.sqrt(vectors.shape[-1])
        return self.project(self.encoder(vectors))

    @torch.inference_mode()
    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of vectors of shape (n, d)."""
        return self.quantizer.codes(self._latent_of(vectors)).numpy().astype(np.int32)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors that codes, shape (n,), add to the previous levels' reconstruction ``before``, shape (n, d)."""
        values = self.quantizer.values(torch.from_numpy(codes.astype(np.int64)))
        if self.prefix_decoder is None:
            decoded = self.decoder(values)
        else:
            decoded = self.prefix_decoder(values, torch.from_numpy(before))
        return (decoded * self.scale + self.mean).numpy()

    @torch.inference_mode()
    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distances of the bounded projections to the digits of every code, shape (n, d) to (n, size)."""
        bounded = self.quantizer.bound(self._latent_of(vectors))
        digits = self.quantizer.digits(torch.arange(self.size)).to(bounded.dtype)
        return torch.cdist(bounded, digits, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()

    def _latent_of(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        return self.latent(self.standardise(torch.from_numpy(np.ascontiguousarray(vectors, np.float32))))

    def card(self) -> dict[str, Any]:
        """The number of values of each dimension, and ``direction``."""
        return {"kind": self.kind, "levels": self.quantizer.levels.tolist(), "direction": self.direction}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights, means and scales."""
        return dict(self.state_dict())

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> FsqLevel:
        """The level with these weights; a level in format 2 has no ``direction``, which is then False."""
        hidden, prefix = (
            len(tensors[name]) if name in tensors else 0
            for name in ("encoder.0.weight", "prefix_decoder.values.weight")
        )
        level = cls(
            len(tensors["mean"]),
            card["levels"],
            hidden,
            prefix_hidden=prefix,
            direction=card.get("direction", False),
        )
        level.load_state_dict(dict(tensors))
        return level.eval()

    @torch.no_grad()
    def initialise(self, vectors: torch.Tensor) -> None:
        """Centres and scales the projection of a sample, so that every code is used at the start.

        Args:
            vectors: sample, shape (n, d).
        """
        self.mean.copy_(vectors.mean(0))
        self.scale.copy_((vectors - self.mean).pow(2).mean().sqrt().clamp_min(1e-12))
        z = self.latent(self.standardise(vectors))
        spread = z.std(0, correction=0).clamp_min(1e-6)
        self.project.weight /= spread[:, None]
        self.project.bias.copy_((self.project.bias - z.mean(0)) / spread)

    @torch.no_grad()
    def take_principal_components(self, vectors: torch.Tensor) -> None:
        """Projects on the leading principal components, scaled to variance 1, and fits the decoder by least squares.

        Args:
            vectors: sample, shape (n, d).
        """
        data = self.standardise(vectors)
        last: Any = self.decoder[-1]
        n = min(len(self.quantizer.levels), *data.shape)
        _, _, components = torch.linalg.svd(data, full_matrices=False)
        spread = (data @ components[:n].T).std(0, correction=0).clamp_min(1e-6)
        self.project.weight.zero_()
        self.project.weight[:n] = components[:n] / spread[:, None]
        self.project.bias.zero_()
        values = self.quantizer(self.latent(data))
        columns = torch.cat([values, torch.ones(len(values), 1)], 1)
        fitted = torch.linalg.lstsq(columns, data, driver="gelsd").solution
        last.weight.copy_(fitted[:-1].T)
        last.bias.copy_(fitted[-1])
