"""What one user's history says of targets: the last events before each, those a search finds, and counts of all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.counts import leading_keys, times_before
from models.ranker.examples.distinct_items import tried
from models.ranker.examples.gather import buckets, gather
from models.ranker.examples.mined_pairs import paired
from models.ranker.examples.search import among_latest, search, search_by_key, similarities
from models.ranker.examples.similarity import BEST_KEPT, behaviour, found_likeness, likeness
from models.ranker.examples.targets import DOUBLING, HOUR, Catalogue, ExampleParameters, Targets, UserEvents
from models.ranker.examples.taste import taste
from models.ranker.examples.top_k import TIERS

GAPS = HOUR * DOUBLING
"""Where the buckets of a time gap begin, microseconds."""


@dataclass(frozen=True)
class Past:
    """One user's positive events, oldest first.

    Attributes:
        rows: item rows, shape (h,).
        times: microseconds since 1970, shape (h,).
        actions: 1 + one bit for every task that an event was positive for, shape (h,).
        items: the item's index in the ranker's item table, shape (h,).
        codes: semantic IDs + 1, shape (h, 3).
    """

    rows: NDArray[np.int64]
    times: NDArray[np.int64]
    actions: NDArray[np.int32]
    items: NDArray[np.int32]
    codes: NDArray[np.int32]

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], times: NDArray[np.int64], labels: NDArray[np.int64], catalogue: Catalogue
    ) -> Past:
        """Positive events with what the catalogue knows of their items; ``labels`` has one bit a task."""
        return cls(rows, times, (1 + labels).astype(np.int32), catalogue.item_index[rows], catalogue.codes[rows])

    def fields(
        self, positions: NDArray[np.int32], now: NDArray[np.int64], visible: NDArray[np.int64]
    ) -> dict[str, NDArray[np.int32]]:
        """What the events at some positions carry, 0 at -1; field to shape (n, k).

        Args:
            positions: shape (n, k).
            now: the time of every row, shape (n,).
            visible: how many of the oldest events every row may see, shape (n,).
        """
        return {
            "item": gather(self.items, positions),
            **{f"sid_{i + 1}": gather(self.codes[:, i], positions) for i in range(self.codes.shape[1])},
            "gap": buckets(now, self.times, positions, GAPS),
            "action": gather(self.actions, positions),
            "position": buckets(visible - 1, np.arange(len(self.rows)), positions, DOUBLING),
        }


@dataclass(frozen=True)
class Findings:
    """What a user's past says of every target.

    Attributes:
        positions: of the events that the search finds, -1 where there are no more, shape (n, found_length).
        found_score: similarity of the embeddings of found event and target, however it was found, 0 for padding, shape
            (n, found_length).
        history_length: positive events before the target, shape (n,).
        taken: times the user took the target before, shape (n,).
        taken_gap: bucket of the time since the last one, 0 where there is none, shape (n,).
        shared: events before that share the target's first, first two, and all three codes, shape (n, 3).
        shared_gap: bucket of the time since the last one that shares all, 0 where there is none, shape (n,).
        similar: events before by the similarity of their embedding to the target's, shape (n, TIERS).
        similarity: see :func:`models.ranker.examples.similarity.likeness`, of the search and of the text
            embeddings, shape (n, VIEWS * MEASURES).
        behaviour: see :func:`models.ranker.examples.similarity.behaviour`, shape (n, VIEWS * MEASURES).
        taste: see :func:`models.ranker.examples.taste.taste`, shape (n, taste.MEASURES).
        tried: see :func:`models.ranker.examples.distinct_items.tried`, shape (n, tried.MEASURES).
        paired: see :func:`models.ranker.examples.mined_pairs.paired`, shape (n, sources * MEASURES).
    """

    positions: NDArray[np.int32]
    found_score: NDArray[np.float32]
    history_length: NDArray[np.int32]
    taken: NDArray[np.int32]
    taken_gap: NDArray[np.int32]
    shared: NDArray[np.int32]
    shared_gap: NDArray[np.int32]
    similar: NDArray[np.int32]
    similarity: NDArray[np.float32]
    behaviour: NDArray[np.float32]
    taste: NDArray[np.float32]
    tried: NDArray[np.int32]
    paired: NDArray[np.float32]


@dataclass(frozen=True)
class Histories(Findings):
    """The searched history of targets; 0 pads the fields of events.

    Attributes:
        recent: field to shape (n, recent_length).
        found: field to shape (n, found_length).
        recent_length, found_length: real events, shape (n,).
        exclusive: found events that the user's latest events of the same category or the same item do not hold, shape
            (n,).
    """

    recent: dict[str, NDArray[np.int32]]
    found: dict[str, NDArray[np.int32]]
    recent_length: NDArray[np.int32]
    found_length: NDArray[np.int32]
    exclusive: NDArray[np.int32]


def findings_of(past: Past, targets: Targets, catalogue: Catalogue, parameters: ExampleParameters) -> Findings:
    """Searches a user's past for every target, in one call.

    Args:
        past: the user's positive events; each target sees those strictly before its time.
        targets: the user's targets.
        catalogue: embeddings and codes.
        parameters: the search and its length.
    """
    visible = np.searchsorted(past.times, targets.times, side="left")
    positions, scores, similar, similarity = _search(targets.rows, visible, past.rows, catalogue, parameters)
    gaps = partial(buckets, targets.times, past.times, borders=GAPS)
    taken, last = times_before(targets.rows, visible, past.rows)
    codes = [
        times_before(leading_keys(catalogue.codes[targets.rows], n), visible, leading_keys(past.codes, n))
        for n in range(1, 1 + catalogue.codes.shape[1])
    ]
    return Findings(
        positions=positions,
        found_score=scores,
        history_length=visible.astype(np.int32),
        taken=taken,
        taken_gap=gaps(last[:, None])[:, 0],
        shared=np.stack([count for count, _ in codes], axis=1),
        shared_gap=gaps(codes[-1][1][:, None])[:, 0],
        similar=similar,
        similarity=similarity,
        behaviour=behaviour(targets.rows, targets.times, visible, past.rows, catalogue),
        taste=taste(targets.rows, targets.times, visible, past.rows, catalogue),
        tried=tried(targets.rows, visible, past.rows, catalogue),
        paired=paired(targets.rows, visible, past.rows, catalogue.triggers),
    )


def histories_of(
    events: UserEvents, targets: Targets, catalogue: Catalogue, parameters: ExampleParameters
) -> Histories:
    """Recent and found history of every target: positive events strictly before its time.

    Args:
        events: the user's events.
        targets: the user's targets, negatives included.
        catalogue: embeddings and codes.
        parameters: lengths.
    """
    positive = np.flatnonzero(events.positive)
    labels = events.labels[positive] @ (1 << np.arange(events.labels.shape[1]))
    past = Past.of(events.rows[positive], events.times[positive], labels, catalogue)
    findings = findings_of(past, targets, catalogue, parameters)
    recent = latest(findings.history_length, parameters.recent_length)
    fields = partial(past.fields, now=targets.times, visible=findings.history_length.astype(np.int64))
    return Histories(
        **vars(findings),
        recent=fields(recent),
        found=fields(findings.positions),
        recent_length=(recent >= 0).sum(1).astype(np.int32),
        found_length=(findings.positions >= 0).sum(1).astype(np.int32),
        exclusive=_exclusive(findings, targets.rows, past.rows, catalogue),
    )


def latest(visible: NDArray[np.int32], length: int) -> NDArray[np.int32]:
    """Positions of the last events of every target, latest first, -1 where there are no more; shape (n, length).

    Args:
        visible: how many of the oldest events each target may see, shape (n,).
        length: events wanted.
    """
    return np.maximum(visible[:, None] - 1 - np.arange(length), -1).astype(np.int32)


def _search(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], catalogue: Catalogue,
    parameters: ExampleParameters,
) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:  # fmt: skip
    """Positions of the events that the search finds, their similarities; all events by similarity, and in measures."""
    of_target, of_event = catalogue.search_embeddings[targets], catalogue.search_embeddings[history]
    similar = np.zeros((len(targets), TIERS), np.int32)
    by_embedding = parameters.search == "embedding"
    k = max(parameters.found_length, BEST_KEPT) if by_embedding else BEST_KEPT
    positions, scores = search(of_target, visible, of_event, k, similar)
    measures = likeness(of_target, visible, of_event, scores[:, :BEST_KEPT])
    by_text = measures
    if len(catalogue.text_embeddings):
        by_text = found_likeness(catalogue.text_embeddings[targets], visible, catalogue.text_embeddings[history])
    if by_embedding:
        positions, scores = positions[:, : parameters.found_length], scores[:, : parameters.found_length]
    else:
        keys = (_keys(parameters.search, rows, catalogue) for rows in (targets, history))
        positions = search_by_key(next(keys), visible, next(keys), parameters.found_length)
        scores = similarities(of_target, of_event, positions)
    return positions, scores, similar, np.concatenate([measures, by_text], axis=1)


def _keys(by: str, rows: NDArray[np.int64], catalogue: Catalogue) -> NDArray[np.int64]:
    """What events are found by, shape (rows, levels)."""
    if by == "category":
        return catalogue.category[rows, None]
    if by == "sid":
        return catalogue.codes[rows, :2].astype(np.int64)
    if by == "item":
        return rows[:, None] + 1
    return np.empty((len(rows), 0), np.int64)


def _exclusive(
    findings: Findings, targets: NDArray[np.int64], history: NDArray[np.int64], catalogue: Catalogue
) -> NDArray[np.int32]:
    """How many of the found events the searches by category and by item would not find, shape (n,)."""
    found, visible = findings.positions, findings.history_length.astype(np.int64)
    alone = found >= 0
    for by in ("category", "item"):
        of_target, of_event = (_keys(by, rows, catalogue)[:, 0] for rows in (targets, history))
        alone &= ~among_latest(found, of_target, visible, of_event)
    return alone.sum(1).astype(np.int32)
