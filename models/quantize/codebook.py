"""A fitted codebook: a sequence of levels, each of which quantizes the residual of the previous levels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.quantize.latent_space import LatentSpace
from models.quantize.levels import Level, RenamedLevel, restored
from models.quantize.prefix_means import PrefixMeans
from models.quantize.same_blocks import same_blocks

TENSORS = "codebook.safetensors"
CARD = "codebook.json"
FORMAT = 3
READ = (2, FORMAT)
"""Formats that can be read: codebooks of format 2 have no prefix means."""


class Codebook:
    """Assigns codes to embeddings, and reconstructs embeddings from codes.

    Args:
        levels: the levels, first to last.
        dimension: dimension of the embeddings.
        method: name of the method that fitted it, for its card.
        space: latent space that the levels quantize (RQ-VAE); None if they quantize the embeddings themselves.
        card: further entries of its card: the data that it was fitted on, its quality.
        prefix_means: mean residual of each prefix of codes, added before the last level; None for none.
    """

    def __init__(
        self,
        levels: Sequence[Level],
        dimension: int,
        method: str,
        *,
        space: LatentSpace | None = None,
        card: Mapping[str, Any] | None = None,
        prefix_means: PrefixMeans | None = None,
    ) -> None:
        self.levels = list(levels)
        self.dimension = dimension
        self.method = method
        self.space = space
        self.card = dict(card or {})
        self.prefix_means = prefix_means

    @property
    def sizes(self) -> list[int]:
        """Number of codes of every level."""
        return [level.size for level in self.levels]

    def assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of embeddings.

        Args:
            embeddings: shape (n, d).

        Returns:
            Shape (n, levels).

        Raises:
            ValueError: the embeddings have another dimension than the codebook, or contain NaN or infinity.
        """
        return self.assign_with_residuals(embeddings)[0]

    def assign_with_residuals(
        self, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Codes, the residuals that the last level quantized, and reconstructions.

        Args:
            embeddings: shape (n, d).

        Returns:
            Codes, shape (n, levels); the residual before the last level, shape (n, d), or (n, latent) with a latent
            space; reconstructions, shape (n, d).

        Raises:
            ValueError: the embeddings have another dimension than the codebook, or contain NaN or infinity.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension:
            raise ValueError(
                f"the codebook takes embeddings of {self.dimension} dimensions, not shape {embeddings.shape}"
            )
        assert_finite(embeddings)
        n = len(embeddings)
        parts = [self._assign_block(block) for block in same_blocks(embeddings)]
        codes, residuals, reconstructions = (np.concatenate(part)[:n] for part in zip(*parts, strict=True))
        return codes, residuals, reconstructions

    def _assign_block(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        target = self.space.enter(embeddings) if self.space else embeddings
        before = np.zeros_like(target)
        codes: list[NDArray[np.int32]] = []
        for level in self.levels:
            before = self._with_prefix_mean(before, codes)
            residual = target - before
            codes.append(level.encode(residual))
            before = before + level.decode(codes[-1], before)
        return np.stack(codes, axis=1), residual, self.space.leave(before) if self.space else before

    def reconstruct(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        """Reconstructed embeddings, shape (n, d), from codes of shape (n, levels)."""
        n = len(codes)
        parts = [self._reconstruct_block(block) for block in same_blocks(codes)]
        return np.concatenate(parts)[:n]

    def _reconstruct_block(self, codes: NDArray[np.int32]) -> NDArray[np.float32]:
        width = self.space.latent if self.space else self.dimension
        before = np.zeros((len(codes), width), np.float32)
        for place, level in enumerate(self.levels):
            before = self._with_prefix_mean(before, list(codes[:, :place].T))
            before = before + level.decode(codes[:, place], before)
        return self.space.leave(before) if self.space else before

    def _with_prefix_mean(self, before: NDArray[np.float32], codes: list[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Adds the prefix means to a partial reconstruction, if the codes of all levels but the last are known."""
        if self.prefix_means is None or len(codes) + 1 < len(self.levels):
            return before
        return before + self.prefix_means.of(np.stack(codes, axis=1))

    def last_distances(self, residuals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distances to the last level's codes, in that level's own space.

        Args:
            residuals: residuals before the last level, as :meth:`assign_with_residuals` returns them, shape (n, …).

        Returns:
            Shape (n, size of the last level).
        """
        n = len(residuals)
        parts = [self.levels[-1].distances(block) for block in same_blocks(residuals)]
        return np.concatenate(parts)[:n]

    def level_as_fitted(self, place: int) -> Level | None:
        """The level at a position with its original code numbers; None if there are fewer levels."""
        if place >= len(self.levels):
            return None
        level = self.levels[place]
        return level.level if isinstance(level, RenamedLevel) else level

    def renamed(self, names: Sequence[NDArray[np.int32] | None]) -> Codebook:
        """The same codebook with renumbered codes.

        Args:
            names: for every level, the new number of each code, shape (size,); None to keep the level's numbers.
        """
        levels = [
            level if own is None else RenamedLevel(level, own) for level, own in zip(self.levels, names, strict=True)
        ]
        means = None if self.prefix_means is None else self.prefix_means.renamed(names)
        return Codebook(levels, self.dimension, self.method, space=self.space, card=self.card, prefix_means=means)

    def save(self, folder: Path) -> None:
        """Writes the codebook to a folder, as one safetensors file and one JSON card."""
        tensors: dict[str, torch.Tensor] = {}
        for place, level in enumerate(self.levels, 1):
            tensors |= {f"level_{place}.{name}": t.contiguous() for name, t in level.tensors().items()}
        if self.space:
            tensors |= {f"space.{name}": value for name, value in self.space.state_dict().items()}
        if self.prefix_means:
            tensors |= {f"prefix_means.{name}": value for name, value in self.prefix_means.tensors().items()}
        save_file(tensors, folder / TENSORS)
        shapes = [level.card() for level in self.levels]
        card = {"format": FORMAT, "method": self.method, "sizes": self.sizes, "dimension": self.dimension}
        text = json.dumps({**card, "levels": shapes, **self.card}, indent=1)
        (folder / CARD).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Codebook:
        """Reads a codebook that :meth:`save` wrote.

        Raises:
            ValueError: a file is damaged, has another format, or contains an unknown kind of level.
        """
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            tensors = load_file(folder / TENSORS)
        except (json.JSONDecodeError, SafetensorError, UnicodeDecodeError) as error:
            name = TENSORS if isinstance(error, SafetensorError) else CARD
            raise ValueError(f"codebook file {folder / name} is truncated or damaged: {error}") from None
        if card.pop("format", None) not in READ:
            raise ValueError(f"codebook file {folder / CARD} is of none of the formats {READ}; fit it again")
        method, dimension, sizes = card.pop("method"), card.pop("dimension"), card.pop("sizes")
        own = [_under(tensors, f"level_{place}.") for place in range(1, len(card["levels"]) + 1)]
        levels = [restored(shape, part) for shape, part in zip(card.pop("levels"), own, strict=True)]
        space = None
        if weights := _under(tensors, "space."):
            hidden, latent = weights["encoder.0.weight"].shape[0], weights["encoder.2.weight"].shape[0]
            space = LatentSpace(dimension, hidden, latent)
            space.load_state_dict(weights)
        means = None
        if kept := _under(tensors, "prefix_means."):
            means = PrefixMeans(sizes[:-1], *(kept[name].numpy() for name in ("prefixes", "means", "shares")))
        return cls(levels, dimension, method, space=space.eval() if space else None, card=card, prefix_means=means)


def assert_finite(embeddings: NDArray[np.float32]) -> None:
    """Checks that all embeddings are finite.

    Raises:
        ValueError: an embedding contains NaN or infinity; the message names the first such row.
    """
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {len(embeddings)} embeddings hold NaN or infinity,"
            f" the first at row {int(bad.argmax())}"
        )


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
