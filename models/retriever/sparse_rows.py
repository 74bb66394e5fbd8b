"""Rows of scores over all items, dense or sparse: the best of each row, single values, rows of length 1."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from models.compiled import compiled

Scores: TypeAlias = NDArray[np.float32] | sparse.csr_matrix
"""One row a user, one column an item; 0 where a source says nothing of an item."""


def best_of_rows(scores: Scores, most: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The items with the highest scores above 0 of each row, best first; of equal scores the smaller item is first.

    Args:
        scores: shape (users, items).
        most: number of items.

    Returns:
        Items, padded with -1, and their scores, padded with 0, each of shape (users, most).
    """
    if sparse.issparse(scores):
        rows = sorted_rows(scores)
        found = _best_of_sparse(rows.indptr.astype(np.int64), rows.indices, rows.data.astype(np.float32), most)
    else:
        found = _best_of_dense(np.ascontiguousarray(scores, np.float32), most)
    return found


def values_at(scores: Scores, users: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.float32]:
    """The scores of some users and items.

    Args:
        scores: shape (users, items).
        users: rows, shape (n,).
        items: columns, shape (n,).

    Returns:
        Shape (n,); 0 where a sparse matrix has no entry.
    """
    if not sparse.issparse(scores):
        return np.asarray(scores[users, items], np.float32)
    rows = sorted_rows(scores)
    width = np.int64(rows.shape[1])
    there = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr)) * width + rows.indices
    if not len(there):
        return np.zeros(len(users), np.float32)
    asked = users * width + items
    place = np.minimum(np.searchsorted(there, asked), len(there) - 1)
    return np.where(there[place] == asked, rows.data[place], 0).astype(np.float32)


def sorted_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The matrix with one entry a cell and each row's columns ascending."""
    matrix.sum_duplicates()
    return matrix


def zeroed(scores: Scores, left_out: sparse.csr_matrix) -> Scores:
    """The scores with 0 for some items.

    Args:
        scores: shape (users, items).
        left_out: positive for the items of each user that get 0, shape (users, items).
    """
    user, item = left_out.nonzero()
    if not sparse.issparse(scores):
        kept = np.array(scores, np.float32)
        kept[user, item] = 0
        return kept
    ones = sparse.csr_matrix((np.ones(len(user), np.float32), (user, item)), left_out.shape)
    rows = sorted_rows(scores)
    rest = sparse.csr_matrix(rows - rows.multiply(ones))
    rest.eliminate_zeros()
    return rest


def same_for_all(values: NDArray[np.float32], most: int, users: int) -> sparse.csr_matrix:
    """The same row for every user: the highest values above 0.

    Args:
        values: one value an item, shape (items,).
        most: number of items.
        users: number of rows.
    """
    best = np.argsort(-values, kind="stable")[:most]
    best = np.sort(best[values[best] > 0])
    indptr = np.arange(users + 1) * len(best)
    return sparse.csr_matrix((np.tile(values[best], users), np.tile(best, users), indptr), shape=(users, len(values)))


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The matrix with rows of length 1; empty rows stay empty."""
    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1)).ravel())
    inverse = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    return sparse.csr_matrix(sparse.diags(inverse.astype(np.float32)) @ matrix)


@compiled()
def _best(values, most):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Places of the highest values above 0, best first; the earlier place wins a tie."""
    above = np.flatnonzero(values > 0)
    if above.shape[0] > most:
        own = values[above]
        worst = np.partition(own, above.shape[0] - most)[above.shape[0] - most]
        above = above[own >= worst]
    return above[np.argsort(-values[above], kind="mergesort")][:most]


@compiled()
def _best_of_sparse(indptr, indices, data, most):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    items = np.full((indptr.shape[0] - 1, most), -1, np.int32)
    scores = np.zeros(items.shape, np.float32)
    for row in range(items.shape[0]):
        values = data[indptr[row] : indptr[row + 1]]
        best = _best(values, most)
        items[row, : best.shape[0]] = indices[indptr[row] : indptr[row + 1]][best]
        scores[row, : best.shape[0]] = values[best]
    return items, scores


@compiled()
def _best_of_dense(values, most):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    items = np.full((values.shape[0], most), -1, np.int32)
    scores = np.zeros(items.shape, np.float32)
    for row in range(items.shape[0]):
        best = _best(values[row], most)
        items[row, : best.shape[0]] = best
        scores[row, : best.shape[0]] = values[row][best]
    return items, scores
