"""Scores one user's candidates, moment by moment, by :mod:`models.ranker.serving.scorer`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.ranker.examples.columns import target_columns
from models.ranker.examples.context import Context
from models.ranker.examples.histories import latest
from models.ranker.network.ranker import Batch
from models.ranker.serving.scorer import Scorer
from schemas.features import OF_USER


def score_user(scorer: Scorer, of: Context, counts: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Probability of every task for one user's candidates, equal to the ranker's output on examples of them.

    The history is searched for all candidates in one call. The same candidates give bitwise equal scores.

    Args:
        scorer: the ranker.
        of: the user's past, the candidates sorted by time, the search index that the ranker was trained with, and the
            parameters of the search.
        counts: the features that are counted over all users, by name, each of shape (n,).

    Returns:
        Shape (n, tasks).
    """
    names = [feature.name for feature in scorer.ranker.shape.features if feature.count is None]
    columns = {**target_columns(of, names), **counts, "found_score": of.found.scores}
    scores = []
    with torch.inference_mode():
        for start, stop in pairwise(moments(of.targets.times)):
            user, candidates = at_moment(of, columns, slice(start, stop))
            scores.append(scorer.probabilities(user, candidates, of.targets.rows[start:stop]))
    return torch.cat(scores).numpy()


def moments(times: NDArray[np.int64]) -> list[int]:
    """Start of each moment's candidates, followed by the number of candidates.

    Args:
        times: time of each candidate, ascending, shape (n,).
    """
    return [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]


def at_moment(of: Context, columns: Mapping[str, NDArray[Any]], rows: slice) -> tuple[Batch, Batch]:
    """The arguments ``user`` and ``candidates`` of :meth:`models.ranker.serving.scorer.Scorer.probabilities`.

    Args:
        of: the user's past and all of the user's candidates.
        columns: the columns that the ranker reads, with a row for each of these candidates.
        rows: the candidates of one moment.
    """
    first = slice(rows.start, rows.start + 1)
    visible = of.visible[first]
    recent = latest(visible, of.parameters.recent_length)[0]
    found, recent = of.found.positions[rows], recent[recent >= 0]
    used = np.zeros(1 + visible[0], np.bool_)  # the first entry is padding, position -1
    used[0] = used[1 + recent] = used[1 + found] = True
    places = np.cumsum(used, dtype=np.int32) - 1
    positions = (np.flatnonzero(used) - 1).astype(np.int32)
    fields = of.past.fields(positions[None], of.targets.times[first], visible)
    user = {f"event_{name}": values[0] for name, values in fields.items()}
    user |= {"recent": places[1 + recent], **{name: columns[name][rows][:1] for name in OF_USER}}
    candidates = {name: values[rows] for name, values in columns.items() if name not in OF_USER}
    candidates["found"] = places[1 + found]
    return _tensors(user), _tensors(candidates)


def _tensors(columns: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in columns.items()}
