"""Finite scalar quantization (Mentzer et al., arXiv 2309.15505) with a projection to few dimensions and back.

QARM V2 quantizes the second k-means residual this way: k-means follows density and lets points at the edge collapse,
FSQ does not depend on the distribution. The paper does not say how its projection is trained. Here it is learned, of
the residual's direction, with a mirrored decoder by the reconstruction's mean squared error; then, with the codes as
they are, a second decoder is trained that also sees what the levels before stand for (as in QINCo, arXiv 2401.14732):
one code means another thing under another prefix.
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
    """Bounds each of n dimensions, rounds it to its levels, and reads the digits as one mixed-radix code.

    The bound is the symmetric one (arXiv 2411.19842, section 3.2): with 2 levels the boundary lies at 0.

    Args:
        levels: values per dimension, each at least 2.

    Raises:
        ValueError: a dimension has fewer than 2 levels.
    """

    levels: torch.Tensor
    basis: torch.Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        if not levels or min(levels) < 2:
            raise ValueError(f"every FSQ dimension needs at least 2 levels, not {list(levels)}")
        self.register_buffer("levels", torch.tensor(levels, dtype=torch.int64), persistent=False)
        basis = torch.cumprod(torch.tensor([1, *levels[:-1]], dtype=torch.int64), 0)
        self.register_buffer("basis", basis, persistent=False)
        self.size = math.prod(levels)

    def bound(self, z: torch.Tensor) -> torch.Tensor:
        """Bounds z, shape (…, n), to [0, levels - 1]."""
        return (self.levels - 1) * (z.tanh() + 1) / 2

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Quantizes z, shape (…, n), to values in [-1, 1]; gradients pass straight through the rounding."""
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
        """The quantized values behind codes: shape (…) to (…, n)."""
        return self.digits(codes) * 2 / (self.levels - 1) - 1


class PrefixDecoder(nn.Module):
    """Decodes quantized values beside what the levels before stand for.

    Args:
        dimension: d, of the vectors.
        values: quantized values a vector.
        hidden: width between.
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
        """Shapes (batch, n) and (batch, d) to (batch, d)."""
        seen = self.before((before - self.mean) / self.scale)
        return self.join(torch.cat([self.values(values), seen], 1))


class FsqLevel(nn.Module, Level):
    """``d -> hidden -> n``, FSQ, and the mirrored decoder; with no hidden layer, one linear map there and one back.

    Args:
        dimension: d, of the vectors.
        levels: of the FSQ.
        hidden: width between; 0 for none.
        prefix_hidden: width of the prefix decoder; 0 for the mirrored one alone.
        direction: whether the encoder sees a vector's direction alone: a dense group's short residuals are then told
            apart as well as a loose one's long ones, where else all of them would lie at the middle of every digit.
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
        """Codes: the product of the levels."""
        return self.quantizer.size

    def standardise(self, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors as the network sees them: centred, one scale for all dimensions."""
        return (vectors - self.mean) / self.scale

    def latent(self, vectors: torch.Tensor) -> torch.Tensor:
        """What is bounded and rounded, of standardised vectors: shape (batch, d) to (batch, n)."""
        if self.direction:
            vectors = nn.functional.normalize(vectors, dim=-1) * math.sqrt(vectors.shape[-1])
        return self.project(self.encoder(vectors))

    @torch.inference_mode()
    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of vectors of shape (n, d)."""
        return self.quantizer.codes(self._latent_of(vectors)).numpy().astype(np.int32)

    @torch.inference_mode()
    def decode(self, codes: NDArray[np.int32], before: NDArray[np.float32]) -> NDArray[np.float32]:
        """What codes of shape (n,) add to the levels before, of shape (n, d)."""
        values = self.quantizer.values(torch.from_numpy(codes.astype(np.int64)))
        if self.prefix_decoder is None:
            decoded = self.decoder(values)
        else:
            decoded = self.prefix_decoder(values, torch.from_numpy(before))
        return (decoded * self.scale + self.mean).numpy()

    @torch.inference_mode()
    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distance of the bounded projection to every code's digits, shape (n, d) to (n, size)."""
        bounded = self.quantizer.bound(self._latent_of(vectors))
        digits = self.quantizer.digits(torch.arange(self.size)).to(bounded.dtype)
        return torch.cdist(bounded, digits, compute_mode="donot_use_mm_for_euclid_dist").square().numpy()

    def _latent_of(self, vectors: NDArray[np.float32]) -> torch.Tensor:
        return self.latent(self.standardise(torch.from_numpy(np.ascontiguousarray(vectors, np.float32))))

    def card(self) -> dict[str, Any]:
        """Values of each dimension, and whether directions alone are seen."""
        return {"kind": self.kind, "levels": self.quantizer.levels.tolist(), "direction": self.direction}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Weights, means and scales."""
        return dict(self.state_dict())

    @classmethod
    def restore(cls, card: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]) -> FsqLevel:
        """The level of these weights; levels of codebooks of format 2 saw no directions."""
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
        """Starts with every dimension's boundary in the middle of the data, so that no code is dead at first.

        Args:
            vectors: a sample, shape (n, d).
        """
        self.mean.copy_(vectors.mean(0))
        self.scale.copy_((vectors - self.mean).pow(2).mean().sqrt().clamp_min(1e-12))
        z = self.latent(self.standardise(vectors))
        spread = z.std(0, correction=0).clamp_min(1e-6)
        self.project.weight /= spread[:, None]
        self.project.bias.copy_((self.project.bias - z.mean(0)) / spread)

    @torch.no_grad()
    def take_principal_components(self, vectors: torch.Tensor) -> None:
        """Projects on the leading principal components, scaled to variance 1, and decodes by least squares.

        Args:
            vectors: a sample, shape (n, d).
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
