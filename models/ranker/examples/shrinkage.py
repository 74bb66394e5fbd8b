"""Behaviour vectors of items that few have taken, shrunk towards those of similar items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 4
"""Power of the similarity that a neighbour's vector is weighted by."""
MOST_NEIGHBOURS = 25
"""Neighbours that an item is shrunk towards, at most."""


@dataclass(frozen=True)
class Neighbourhood:
    """What each item is shrunk towards.

    Attributes:
        content: a number of each item's content, from 0 on, shape (items,).
        near: rows of items whose contents are nearest, nearest first, -1 for padding, shape (items, k).
        weight: of each of them, 0 for padding, shape (items, k).
    """

    content: NDArray[np.int64]
    near: NDArray[np.int64]
    weight: NDArray[np.float32]


def neighbourhood_of(
    content: NDArray[np.int64], near: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Neighbourhood:
    """Neighbourhoods, each of the nearest weighted by its similarity to the power of :data:`SHARPNESS`.

    Args:
        content: a number of each item's content, from 0 on, shape (items,).
        near: rows of the nearest items, -1 for padding, shape (items, k).
        vectors: that tell how near, of length 1, shape (items, d).
    """
    weight = np.zeros(near.shape, np.float32)
    for place, rows in enumerate(near.T):  # one place at a time: of all at once the vectors would be gathered k times
        similarity = np.einsum("ij,ij->i", vectors, vectors[rows])
        weight[:, place] = np.where(rows >= 0, np.maximum(similarity, 0) ** SHARPNESS, 0)
    return Neighbourhood(content, near, weight)


def shrink(
    vectors: NDArray[np.float32], takers: NDArray[np.int64], towards: Neighbourhood, strength: float
) -> NDArray[np.float32]:
    """Shrinks each item's vector towards its neighbourhood's: not at all where many took it, wholly where none did.

    A vector that was fitted on two users says little; the language model, aligned to who takes what, knows which other
    contents the same users would take. An item that n users took keeps ``n / (n + strength)`` of its own direction. The
    rest is that of the other items of its content, and of the nearest contents: each item by ``log(1 + n)``, a content
    by its similarity to the power of :data:`SHARPNESS`.

    Args:
        vectors: of length 1, or 0 where nobody took an item, shape (items, d).
        takers: users that took each item, shape (items,).
        towards: of the items.
        strength: takers at which an item and its neighbourhood weigh the same, above 0.

    Returns:
        Vectors of length 1, 0 where neither an item nor its neighbourhood was taken, shape (items, d). Memory: three
        times as much for as long as it runs.
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
    """Vectors of shape (n, d) brought to length 1; those of almost no length become 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-6)
