"""Behaviour vectors of items that few have taken, lent by what is like them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 4
"""Power of the similarity that a neighbour's vector is weighted by."""


@dataclass(frozen=True)
class Kin:
    """What each item is like.

    Attributes:
        content: a number of each item's content, from 0 on, shape (items,).
        near: rows of items whose contents are nearest, nearest first, -1 for padding, shape (items, k).
        vectors: that tell how near, of length 1, shape (items, d).
    """

    content: NDArray[np.int64]
    near: NDArray[np.int64]
    vectors: NDArray[np.float32]


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
        own_weight: takers at which an item and its kin weigh the same; 0 lends nothing.

    Returns:
        Vectors of length 1, 0 where neither an item nor its kin were taken, shape (items, d). Memory: three times as
        much for as long as it runs.
    """
    own = vectors * np.log1p(takers, dtype=np.float32)[:, None]
    of_content = np.zeros((kin.content.max(initial=-1) + 1, vectors.shape[1]), np.float32)
    np.add.at(of_content, kin.content, own)
    lent = of_content[kin.content] - own
    for near in kin.near.T:
        similarity = np.einsum("ij,ij->i", kin.vectors, kin.vectors[near])
        weight = np.where(near >= 0, np.maximum(similarity, 0) ** SHARPNESS, 0)
        lent += weight[:, None] * of_content[kin.content[near]]
    kept = (takers / np.maximum(takers + own_weight, 1e-9)).astype(np.float32)[:, None]
    return _unit(kept * vectors + (1 - kept) * _unit(lent))


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 1e-6)
