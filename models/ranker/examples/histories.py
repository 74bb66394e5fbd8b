"""The examples of one user's targets: features, the last events before each target, and the events that were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.columns import target_columns
from models.ranker.examples.context import Context
from models.ranker.examples.found import exclusive
from models.ranker.examples.past import Past
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import ExampleParameters, Targets, UserEvents


@dataclass(frozen=True)
class Histories:
    """Features and histories of targets; the fields of events are padded with 0.

    Attributes:
        columns: result of :func:`models.ranker.examples.columns.target_columns`.
        recent: fields of the last events by name, each of shape (n, recent_length).
        found: fields of the found events by name, each of shape (n, found_length).
        found_score: similarity of each found event, shape (n, found_length).
        recent_length, found_length: numbers of events without padding, shape (n,).
        exclusive: number of found events that a search by category or by item would not find, shape (n,).
    """

    columns: dict[str, NDArray[Any]]
    recent: dict[str, NDArray[np.int32]]
    found: dict[str, NDArray[np.int32]]
    found_score: NDArray[np.float32]
    recent_length: NDArray[np.int32]
    found_length: NDArray[np.int32]
    exclusive: NDArray[np.int32]


def histories_of(events: UserEvents, targets: Targets, index: SearchIndex, parameters: ExampleParameters) -> Histories:
    """Computes features and histories of every target from the positive events strictly before its time.

    Args:
        events: the user's events.
        targets: the user's targets, with negatives.
        index: attributes of all items.
        parameters: parameters of the search, and lengths.
    """
    positive = np.flatnonzero(events.positive)
    labels = events.labels[positive] @ (1 << np.arange(events.labels.shape[1]))
    past = Past.of(events.rows[positive], events.times[positive], labels, index)
    of = Context(targets, past, index, parameters)
    recent, found = latest(of.visible, parameters.recent_length), of.found.positions
    of_events = partial(past.fields, now=targets.times, visible=of.visible)
    return Histories(
        columns=target_columns(of),
        recent=of_events(recent),
        found=of_events(found),
        found_score=of.found.scores,
        recent_length=(recent >= 0).sum(1).astype(np.int32),
        found_length=(found >= 0).sum(1).astype(np.int32),
        exclusive=exclusive(found, targets.rows, of.visible, past.rows, index=index),
    )


def joined_histories(parts: Sequence[Histories]) -> Histories:
    """The histories of all parts, one after the other."""

    def joined(name: str) -> Any:
        values = [getattr(part, name) for part in parts]
        if not isinstance(values[0], dict):
            return np.concatenate(values)
        return {key: np.concatenate([value[key] for value in values]) for key in values[0]}

    return Histories(**{field.name: joined(field.name) for field in fields(Histories)})


def latest(visible: NDArray[np.int64], length: int) -> NDArray[np.int32]:
    """Positions of the last visible events of every target, latest first, padded with -1; shape (n, length).

    Args:
        visible: number of events visible to each target, which are the oldest ones, shape (n,).
        length: number of events.
    """
    return np.maximum(visible[:, None] - 1 - np.arange(length), -1).astype(np.int32)
