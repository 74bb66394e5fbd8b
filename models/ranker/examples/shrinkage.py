"""Shrinkage: behaviour vectors of items with few users are shrunk toward the vectors of similar items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 4
"""Exponent of the similarity in a neighbour's weight."""
MOST_NEIGHBOURS = 25
"""Largest number of nearest items that an item is shrunk toward."""


@dataclass(frozen=True)
class Neighbourhood:
    """The items that each item's vector is shrunk toward.

    Attributes:
        content: number of each item's content, from 0, shape (items,).
        near: rows of items with the nearest contents, nearest first, padded with -1, shape (items, k).
        weight: weight of each of these items, 0 for padding, shape (items, k).
    """

    content: NDArray[np.int64]
    near: NDArray[np.int64]
    weight: NDArray[np.float32]


def neighbourhood_of(
    content: NDArray[np.int64], near: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Neighbourhood:
    """Builds neighbourhoods; a neighbour's weight is its similarity to the power of :data:`SHARPNESS`.

    Args:
        content: number of each item's content, from 0, shape (items,).
        near: rows of the nearest items, padded with -1, shape (items, k).
        vectors: unit vectors whose inner products are the similarities, shape (items, d).
    """
    weight = np.zeros(near.shape, np.float32)
    for place, rows in enumerate(
        near.T
    ):  # one column at a time, because all at once would hold k copies of the vectors
        similarity = np.einsum("ij,ij->i", vectors, vectors[rows])
        weight[:, place] = np.where(rows >= 0, np.maximum(similarity, 0) ** SHARPNESS, 0)
    return Neighbourhood(content, near, weight)


def shrink(
    vectors: NDArray[np.float32], takers: NDArray[np.int64], towards: Neighbourhood, strength: float
) -> NDArray[np.float32]:
    """Shrinks each item's vector toward the mean direction of its neighbourhood, the more the fewer users took it.

    A vector fitted on two users is mostly noise, while the aligned language model's neighbours are often taken by the
    same users. An item that n users took keeps the share ``n / (n + strength)`` of its own direction. The rest is the
    direction of the weighted sum over the other items of its content and the items of the nearest contents. An item's
    weight in the sum is ``log(1 + n)``, multiplied for a nearest content by the content's weight.

    Memory: three times the vectors.

    Args:
        vectors: unit vectors, or 0 for an item that nobody took, shape (items, d).
        takers: number of users that took each item, shape (items,).
        towards: neighbourhoods of the items.
        strength: number of users at which an item's own vector and its neighbourhood have equal weights, above 0.

    Returns:
        Unit vectors, or 0 if nobody took the item or its neighbourhood, shape (items, d).
    """
    own = vectors * np.log1p(takers, dtype=np.float32)[:, None]
    of_content = np.zeros((towards.content.max(initial=-1) + 1, vectors.shape[1]), np.float32)
    np.add.at(of_content, towards.content, own)
    others = of_content[towards.content] - own
    for near, weight in zip(towards.near.T, towards.weight.T, strict=True):
        others += weight[:, None] * of_content[towards.content[near]]
    kept = (takers / (takers + strength)).astype(np.float32)[:, None]
    return unit(kept * vectors + (1 - kept) * unit(others))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of shape (n, d) scaled to length 1; vectors of almost no length become 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-6)
