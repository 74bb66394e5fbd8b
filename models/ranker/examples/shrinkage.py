"""Behaviour vectors of items that few have taken, lent by what is like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 4
"""Power of the similarity that a neighbour's vector is weighted by."""
LENDERS = 25
"""Neighbours of an item that lend, at most."""


@dataclass(frozen=True)
class Kin:
    """What each item is like.

    Attributes:
        content: a number of each item's content, from 0 on, shape (items,).
        near: rows of items whose contents are nearest, nearest first, -1 for padding, shape (items, k).
        weight: of each of them, 0 for padding, shape (items, k).
    """

    content: NDArray[np.int64]
    near: NDArray[np.int64]
    weight: NDArray[np.float32]


def kin_of(content: NDArray[np.int64], near: NDArray[np.int64], vectors: NDArray[np.float32]) -> Kin:
    """Kin, each of the nearest weighted by its similarity to the power of :data:`SHARPNESS`.

    Args:
        content: a number of each item's content, from 0 on, shape (items,).
        near: rows of the nearest items, -1 for padding, shape (items, k).
        vectors: that tell how near, of length 1, shape (items, d).
    """
    weight = np.zeros(near.shape, np.float32)
    for place, rows in enumerate(near.T):  # one place at a time: of all at once the vectors would be gathered k times
        similarity = np.einsum("ij,ij->i", vectors, vectors[rows])
        weight[:, place] = np.where(rows >= 0, np.maximum(similarity, 0) ** SHARPNESS, 0)
    return Kin(content, near, weight)


def lend(vectors: NDArray[np.float32], takers: NDArray[np.int64], kin: Kin, own_weight: float) -> NDArray[np.float32]:
    """Mixes each item's vector with those of its kin: all on its own where many took it, all on theirs where none did.

    A vector that was fitted on two users says little; the language model, aligned to who takes what, knows which other
    contents the same users would take. An item that n users took keeps ``n / (n + own_weight)`` of its own direction.
    The rest is its kin's: the other items of its content, and the nearest contents, each item by ``log(1 + n)`` and a
    content by its similarity to the fourth power.

    Args:
        vectors: of length 1, or 0 where nobody took an item, shape (items, d).
        takers: users that took each item, shape (items,).
        kin: of the items.
        own_weight: takers at which an item and its kin weigh the same, above 0.

    Returns:
        Vectors of length 1, 0 where neither an item nor its kin were taken, shape (items, d). Memory: three times as
        much for as long as it runs.
    """
    own = vectors * np.log1p(takers, dtype=np.float32)[:, None]
    of_content = np.zeros((kin.content.max(initial=-1) + 1, vectors.shape[1]), np.float32)
    np.add.at(of_content, kin.content, own)
    lent = of_content[kin.content] - own
    for near, weight in zip(kin.near.T, kin.weight.T, strict=True):
        lent += weight[:, None] * of_content[kin.content[near]]
    kept = (takers / (takers + own_weight)).astype(np.float32)[:, None]
    return unit(kept * vectors + (1 - kept) * unit(lent))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of shape (n, d) brought to length 1; those of almost no length become 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-6)
