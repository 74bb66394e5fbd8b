"""A fitted codebook: a row of levels, each on what the levels before left over."""

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
    """Assigns codes to embeddings, and gives back what codes stand for.

    Args:
        levels: first to last.
        dimension: of the embeddings.
        method: how it was fitted, for its card.
        space: where the levels live, if not among the embeddings themselves (RQ-VAE).
        card: what else its card says: what it was fitted on, quality.
        prefix_means: what the codes before the last stand for beyond the sum of their levels, if anything.
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
        """Codes of every level."""
        return [level.size for level in self.levels]

    def assign(self, embeddings: NDArray[np.float32]) -> NDArray[np.int32]:
        """Codes of embeddings.

        Args:
            embeddings: shape (n, d).

        Returns:
            Shape (n, levels).

        Raises:
            ValueError: another dimension than the codebook's, or values that are not finite.
        """
        return self.assign_with_residuals(embeddings)[0]

    def assign_with_residuals(
        self, embeddings: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
        """Codes, what the last level quantized, and reconstructions.

        Args:
            embeddings: shape (n, d).

        Returns:
            Codes, shape (n, levels); the residual before the last level, shape (n, d), or of the latent space's
            dimension where there is one; reconstructions, shape (n, d).

        Raises:
            ValueError: another dimension than the codebook's, or values that are not finite.
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
        """What codes of shape (n, levels) stand for, shape (n, d)."""
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
        """What the codes so far stand for, once those before the last level are known."""
        if self.prefix_means is None or len(codes) + 1 < len(self.levels):
            return before
        return before + self.prefix_means.of(np.stack(codes, axis=1))

    def last_distances(self, residuals: NDArray[np.float32]) -> NDArray[np.float32]:
        """Squared distances to the last level's codes, in that level's own space.

        Args:
            residuals: before the last level, as :meth:`assign_with_residuals` gives them, shape (n, …).

        Returns:
            Shape (n, size of the last level).
        """
        n = len(residuals)
        parts = [self.levels[-1].distances(block) for block in same_blocks(residuals)]
        return np.concatenate(parts)[:n]

    def level_as_fitted(self, place: int) -> Level | None:
        """A level under the names that it was fitted with; None where there are fewer levels."""
        if place >= len(self.levels):
            return None
        level = self.levels[place]
        return level.level if isinstance(level, RenamedLevel) else level

    def renamed(self, names: Sequence[NDArray[np.int32] | None]) -> Codebook:
        """The same codebook with other names for its codes.

        Args:
            names: of every level, the name of each code; None where they stay.
        """
        levels = [
            level if own is None else RenamedLevel(level, own) for level, own in zip(self.levels, names, strict=True)
        ]
        means = None if self.prefix_means is None else self.prefix_means.renamed(names)
        return Codebook(levels, self.dimension, self.method, space=self.space, card=self.card, prefix_means=means)

    def save(self, folder: Path) -> None:
        """Writes one safetensors file and one JSON card."""
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
        """Reads what :meth:`save` wrote.

        Raises:
            ValueError: a file is damaged, or of another format, or holds a kind of level that is not known here.
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
    """Fails where an embedding holds NaN or infinity.

    Raises:
        ValueError: with the first such row.
    """
    bad = ~np.isfinite(embeddings).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{int(bad.sum())} of {len(embeddings)} embeddings hold NaN or infinity,"
            f" the first at row {int(bad.argmax())}"
        )


def _under(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
