"""Makes ranking examples from users' events, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.ranker.examples.hashing import uniform
from models.ranker.examples.histories import Histories, histories_of, joined_histories
from models.ranker.examples.negatives import draw_negatives, log_expected
from models.ranker.examples.search_index import SearchIndex
from models.ranker.examples.targets import (
    ExampleParameters,
    Targets,
    UserEvents,
    joined_targets,
    targets_of,
)
from schemas.features import PARTS
from udfs.arrays import feature_column, list_column
from udfs.batches import Batches
from udfs.workers import shipped

DAY = 24 * 3_600_000_000
"""Microseconds."""
BATCH_ROWS = 1024
"""Rows after which a batch of examples is handed over; some users have one example a night."""
KEEP = 2
"""Salt of the hash that decides whether a target is kept."""


@dataclass(frozen=True)
class SplitPlan:
    """When the splits begin, and which share of each is kept.

    Attributes:
        train_from: first microsecond of the train examples; None if they begin with the log.
        valid_from: first microsecond of the validation period.
        test_from: first microsecond of the test period.
        shares: share of train, valid and test targets that is kept.
        blocks: first microseconds of the blocks of days that the table is partitioned by, ascending.
    """

    train_from: int | None
    valid_from: int
    test_from: int
    shares: tuple[float, float, float]
    blocks: tuple[int, ...] = (0,)

    def split_of(self, times: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the split of each time, shape (n,): 0 for train, 1 for valid, 2 for test."""
        return (times >= self.valid_from).astype(np.int64) + (times >= self.test_from)

    def days_of(self, times: NDArray[np.int64]) -> NDArray[np.int32]:
        """First day of the block of each time, in days since 1970, shape (n,); a time before the first is of it."""
        place = np.searchsorted(np.array(self.blocks), times, side="right") - 1
        days: NDArray[np.int32] = (np.array(self.blocks)[np.maximum(place, 0)] // DAY).astype(np.int32)
        return days

    def keeps(self, targets: Targets) -> NDArray[np.bool_]:
        """Which targets are kept, by hash; shape (n,)."""
        kept = uniform(targets.keys, KEEP) < np.array(self.shares)[self.split_of(targets.times)]
        return kept if self.train_from is None else kept & (targets.times >= self.train_from)


@cache
def load_search_index(folder: Path) -> SearchIndex:
    """Loads the search index of an artifact, memory-mapped: all workers of a host share one copy."""
    return SearchIndex.load(folder)


def build_examples(search_index: str, parameters: ExampleParameters, plan: SplitPlan, tasks: Sequence[str]) -> Batches:
    """Makes the function for ``mapInArrow`` that makes examples; partitions are sorted by user, part, time, item row.

    The input has one row per event: ``user_id``, ``part`` and ``parts`` (number and count of the user's parts),
    ``item_row``, ``time``, ``labels`` (one bit per task), ``impression``, ``key`` and ``new``. A partition holds all
    events of a user, once for every part; each part makes its share of the examples, which are those of new events.
    Memory: the events of one user, the examples of one part, and :data:`BATCH_ROWS` examples of other users.

    Args:
        search_index: the shipped search index.
        parameters: lengths and sampling.
        plan: the time split.
        tasks: names of the tasks, in the order of the labels.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        folder, made, count = shipped(search_index), [], 0
        for rows in users_of(batches):
            events = _events(rows, len(tasks))
            share = (rows["part"][0].as_py(), rows["parts"][0].as_py())
            built = examples_of_user(events, load_search_index(folder), parameters, plan, share=share)
            if built is None:
                continue
            made.append((rows["user_id"][0].as_py(), *built))
            count += len(built[0].rows)
            if count >= BATCH_ROWS:
                yield to_arrow(made, plan, tasks=tasks)
                made, count = [], 0
        if made:
            yield to_arrow(made, plan, tasks=tasks)

    return run


def users_of(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Yields one table per user and part, from batches that are sorted by user and part."""
    pending: list[pa.RecordBatch] = []
    for batch in batches:
        if batch.num_rows == 0:
            continue
        users = np.asarray(batch.column("user_id").to_numpy(zero_copy_only=False), dtype=object)
        parts = batch.column("part").to_numpy()
        changes = (users[1:] != users[:-1]) | (parts[1:] != parts[:-1])
        edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(users)]
        for start, stop in pairwise(edges):
            if pending and _owner(pending[-1]) != (users[start], parts[start]):
                yield pa.Table.from_batches(pending)
                pending = []
            pending.append(batch.slice(start, stop - start))
    if pending:
        yield pa.Table.from_batches(pending)


def _owner(rows: pa.RecordBatch) -> tuple[str, int]:
    return rows.column("user_id")[0].as_py(), rows.column("part")[0].as_py()


def examples_of_user(
    events: UserEvents,
    index: SearchIndex,
    parameters: ExampleParameters,
    plan: SplitPlan,
    *,
    share: tuple[int, int] = (0, 1),
) -> tuple[Targets, Histories] | None:
    """The examples of one user, or of one part of them, with their histories; None if there are none.

    Args:
        events: the user's events, oldest first.
        index: the search index of the items.
        parameters: lengths and sampling.
        plan: the time split.
        share: number of the part to make, and number of parts.
    """
    targets = targets_of(events, parameters.attribution_gap)
    part, parts = share
    targets = _take(targets, plan.keeps(targets) & (targets.keys % np.uint64(parts) == part))
    source = np.arange(len(targets.rows))
    positives = targets
    if parameters.negatives:
        begun = np.arange(len(targets.rows))
        if events.new is not None:
            begun = np.flatnonzero(np.isin(targets.keys, events.keys[events.new]))
        drawn, of = draw_negatives(
            _take(targets, begun), events, index, per_positive=parameters.negatives, pools=parameters.negatives_from,
            gap=parameters.attribution_gap,
        )  # fmt: skip
        targets, source = joined_targets([targets, drawn]), np.concatenate([source, begun[of]])
    if len(targets.rows) == 0:
        return None
    made = histories_of(events, targets, index, parameters)
    log_q = np.zeros(len(targets.rows), np.float32)
    if parameters.negatives:
        log_q = log_expected(
            positives, source, targets.rows, events=events, index=index, per_positive=parameters.negatives,
            pools=parameters.negatives_from,
        )  # fmt: skip
    return targets, replace(made, columns={**made.columns, "log_q": log_q})


def _take(targets: Targets, rows: NDArray[Any]) -> Targets:
    return Targets(*(values[rows] for values in vars(targets).values()))


def _events(rows: pa.Table, tasks: int) -> UserEvents:
    flags, new = rows["labels"].to_numpy(), rows["new"].to_numpy().astype(bool)
    return UserEvents(
        rows=rows["item_row"].to_numpy().astype(np.int64),
        times=rows["time"].to_numpy(),
        labels=((flags[:, None] >> np.arange(tasks)) & 1).astype(bool),
        impressions=rows["impression"].to_numpy().astype(bool),
        keys=rows["key"].to_numpy().view(np.uint64),
        new=None if new.all() else new,
    )


def to_arrow(
    made: Sequence[tuple[str, Targets, Histories]], plan: SplitPlan, *, tasks: Sequence[str]
) -> pa.RecordBatch:
    """Users' examples as columns of ``ranker_examples``, with item row and key instead of ids.

    Args:
        made: id of each user, with the targets of the user's examples and their histories.
        plan: the time split.
        tasks: names of the tasks, in the order of the labels.
    """
    users, of_users, histories_of_users = zip(*made, strict=True)
    targets, histories = joined_targets(of_users), joined_histories(histories_of_users)
    sizes = [len(of_user.rows) for of_user in of_users]
    user = pa.array(np.repeat(np.arange(len(users)), sizes).astype(np.int32))
    columns: dict[str, pa.Array] = {
        "user_id": pa.array(users, pa.string()).take(user),
        "item_row": pa.array(targets.rows),
        "key": pa.array(targets.keys.view(np.int64)),
        "event_time": pa.array(targets.times, pa.timestamp("us", tz="UTC")),
        "days_from": pa.array(plan.days_of(targets.times), pa.date32()),
        **{f"label_{task}": pa.array(targets.labels[:, i].astype(np.float32)) for i, task in enumerate(tasks)},
        **{name: feature_column(values, PARTS.get(name, ())) for name, values in histories.columns.items()},
        **{f"recent_{name}": list_column(values) for name, values in histories.recent.items()},
        **{f"found_{name}": list_column(values) for name, values in histories.found.items()},
        "found_score": list_column(histories.found_score),
        "recent_length": pa.array(histories.recent_length),
        "found_length": pa.array(histories.found_length),
        "exclusive": pa.array(histories.exclusive),
    }
    return pa.RecordBatch.from_pydict(columns)
