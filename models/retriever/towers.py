"""The two towers of ``mine_pairs`` as a source of items: the items whose vectors are nearest to the user's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse

from models.pairs.two_tower import TwoTower
from models.retriever.histories import UserHistories
from models.retriever.sparse_rows import best_of_rows


@dataclass(frozen=True)
class Towers:
    """A two-tower model and the vectors of all items.

    Attributes:
        model: the model, whose user tower reads the latest items.
        number: the model's number of each item; one beyond its table for an item without a row, shape (items,).
        vectors: unit vectors of the item tower, shape (items, dim).
        recent_length: events that the user tower reads, the latest.
        most: number of items for each user.
    """

    model: TwoTower
    number: NDArray[np.int64]
    vectors: NDArray[np.float32]
    recent_length: int
    most: int

    @torch.inference_mode()
    def nearest(self, histories: UserHistories) -> sparse.csr_matrix:
        """The nearest items of each user by ``(1 + cosine) / 2``, shape (users, items); none without a history.

        Memory: a number for each user and item.

        Args:
            histories: the histories.
        """
        back = np.arange(self.recent_length)
        valid = back < np.diff(histories.offsets)[:, None]
        places = np.where(valid, histories.offsets[1:, None] - 1 - back, 0)
        item = histories.item[places] if len(histories.item) else np.zeros(places.shape, np.int32)
        recent = np.where(valid, self.number[item], -1)
        users = self.model.user_vectors(torch.from_numpy(recent)).numpy().astype(np.float32)
        near = (1 + users @ self.vectors.T) / 2
        items, score = best_of_rows(np.where(valid[:, :1], near, 0).astype(np.float32), self.most)
        user, column = np.nonzero(items >= 0)
        return sparse.csr_matrix((score[user, column], (user, items[user, column])), near.shape)
