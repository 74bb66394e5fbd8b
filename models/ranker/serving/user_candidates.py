"""One user's candidates for :mod:`models.ranker.serving.probabilities`: moment by moment, every event once."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.ranker.examples.columns import target_columns
from models.ranker.examples.histories import Findings, Past, findings_of, latest
from models.ranker.examples.targets import Catalogue, ExampleParameters, Targets
from models.ranker.network.ranker import Batch, Ranker
from models.ranker.serving.probabilities import USER, probabilities


def score_user(
    ranker: Ranker,
    past: Past,
    targets: Targets,
    counts: Mapping[str, NDArray[Any]],
    catalogue: Catalogue,
    parameters: ExampleParameters,
) -> NDArray[np.float32]:
    """Probability of every task for one user's candidates, as the ranker gives it to examples with the same targets.

    All candidates are searched for in one call. The same candidates give the same scores to the bit.

    Args:
        ranker: in evaluation mode.
        past: the user's positive events.
        targets: the candidates, by time.
        counts: the ranker's columns that are not the user's: how often all users took the candidate, shape (n,).
        catalogue: that the ranker was trained with.
        parameters: search and lengths that it was trained with.

    Returns:
        Shape (n, tasks).
    """
    findings = findings_of(past, targets, catalogue, parameters)
    columns = {**target_columns(targets, findings, catalogue), **counts, "found_score": findings.found_score}
    starts = moments(targets.times)
    with torch.inference_mode():
        sides = (
            at_moment(past, findings, columns, targets.times[start], slice(start, stop), parameters.recent_length)
            for start, stop in pairwise(starts)
        )
        return torch.cat([probabilities(ranker, user, candidates) for user, candidates in sides]).numpy()


def moments(times: NDArray[np.int64]) -> list[int]:
    """Where every moment's candidates begin, and where the last one's end.

    Args:
        times: ascending, shape (n,).
    """
    return [0, *(np.flatnonzero(np.diff(times)) + 1).tolist(), len(times)]


def at_moment(
    past: Past,
    findings: Findings,
    columns: Mapping[str, NDArray[Any]],
    now: np.int64,
    rows: slice,
    recent_length: int,
) -> tuple[Batch, Batch]:
    """The user's side and the candidates' at one moment, see :func:`models.ranker.serving.probabilities.probabilities`.

    Args:
        past: the user's positive events.
        findings: of all of the user's candidates.
        columns: what the ranker reads of all of them.
        now: microseconds since 1970.
        rows: the moment's candidates.
        recent_length: of the last events.
    """
    visible = findings.history_length[rows.start : rows.start + 1]
    recent = latest(visible, recent_length)[0]
    found, recent = findings.positions[rows], recent[recent >= 0]
    used = np.zeros(1 + visible[0], np.bool_)  # the first stands for padding, which is position -1
    used[0] = used[1 + recent] = used[1 + found] = True
    places = np.cumsum(used, dtype=np.int32) - 1
    positions = (np.flatnonzero(used) - 1).astype(np.int32)
    fields = past.fields(positions[None], np.array([now]), visible.astype(np.int64))
    user = {f"event_{name}": values[0] for name, values in fields.items()}
    user |= {"recent": places[1 + recent], **{name: columns[name][rows][:1] for name in USER}}
    candidates = {name: values[rows] for name, values in columns.items() if name not in USER}
    candidates["found"] = places[1 + found]
    return _tensors(user), _tensors(candidates)


def _tensors(columns: Mapping[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in columns.items()}
