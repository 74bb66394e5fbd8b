"""Measures the lists of every source and of fusion at an earlier moment, on what users took next."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from lake.run import Run
from models.retriever.background import Asked, Background
from models.retriever.evaluation import AT, measured, of_groups, part_of
from models.retriever.lessons import next_taken
from models.retriever.retrieval import Ranked, Retrieval
from schemas.tables.lists import FUSED

LONGEST = max(AT)


def measure_lists(run: Run, known: Background, earlier: Retrieval) -> None:
    """Records recall, NDCG and hit rate of the lists that a retrieval makes at its moment.

    The whole catalogue is ranked, and compared with what each reference user took on the first day with an event from
    the moment on. The slices are the sources' names and ``fused``; of items that the user took before or did not, also
    ``SOURCE/repeat`` and ``SOURCE/new``; of contents, ``SOURCE/contents``.

    Args:
        run: the run.
        known: what is known now.
        earlier: a retrieval whose background and fusion end before its moment.
    """
    background = earlier.background
    truth = next_taken(known.histories, known.items, background.moment, known.moment)
    users = np.flatnonzero((np.diff(truth.indptr) > 0) & (np.diff(background.histories.offsets) > 0))
    run.measure("retrieve.measured_users", len(users))
    if not len(users):
        return
    ranked: dict[str, list[NDArray[np.int32]]] = {}
    for places, lists in earlier.lists(Asked(background.histories.take(users), users), written=LONGEST, fused=LONGEST):
        for source, rows in lists.items():
            ranked.setdefault(source or FUSED, []).append(_table(rows, len(places)))
    held = background.taken[users]
    parts = {"": truth[users], "/repeat": part_of(truth[users], held, inside=True)}
    parts["/new"] = part_of(truth[users], held, inside=False)
    for source, tables in ranked.items():
        items = np.concatenate(tables)
        for part, taken in parts.items():
            _record(run, items, taken, f"{source}{part}")
        groups = int(background.content.max(initial=-1)) + 1
        contents = np.where(items >= 0, background.content[items], -1)
        _record(run, distinct(contents), of_groups(truth[users], background.content, groups), f"{source}/contents")


def _record(run: Run, ranked: NDArray[np.int32], taken: sparse.csr_matrix, slice: str) -> None:
    for name, value in measured(ranked, taken).means.items():
        run.measure(f"retrieve.{name}", value, slice)


def _table(rows: Ranked, users: int) -> NDArray[np.int32]:
    table = np.full((users, LONGEST), -1, np.int32)
    table[rows.user, rows.rank - 1] = rows.item
    return table


def distinct(lists: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each list without what it holds already further up."""
    order = np.argsort(lists, axis=1, kind="stable")
    ordered = np.take_along_axis(lists, order, 1)
    again = np.zeros(lists.shape, bool)
    again[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    known = np.zeros_like(again)
    np.put_along_axis(known, order, again, 1)
    kept = ~known & (lists >= 0)
    front = np.argsort(~kept, axis=1, kind="stable")
    found: NDArray[np.int64] = np.where(np.take_along_axis(kept, front, 1), np.take_along_axis(lists, front, 1), -1)
    return found.astype(np.int32)
