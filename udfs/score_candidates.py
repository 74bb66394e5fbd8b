"""Scores users' candidates, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from models.ranker.examples.context import Context
from models.ranker.examples.past import Past
from models.ranker.examples.targets import ExampleParameters, Targets
from models.ranker.network.saved import load_ranker
from models.ranker.serving.scorer import Scorer
from models.ranker.serving.user_candidates import score_user
from schemas.features import COUNTED
from udfs.batches import Batches
from udfs.examples import load_search_index, users_of
from udfs.workers import shipped, use_task_cores


@cache
def load_scorer(rankers: Path, model: str, search_index: Path) -> Scorer:
    """A ranker with its table of items, which is mapped into memory; it is made once per Python worker."""
    index = load_search_index(search_index)
    scorer = Scorer(load_ranker(rankers, model), index.neighbours.shape[1])
    return scorer if scorer.items is None else scorer.reading(scorer.items.mapped(index, rankers, model))


def score_candidates(rankers: str, model: str, search_index: str, parameters: ExampleParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that scores; its partitions are sorted by user, part, time and item row.

    The input has one row per event and one per candidate: ``user_id``, ``part``, ``item_id`` (null for an event),
    ``item_row``, ``time``, ``labels`` (one bit per task) and the features that are counted over all users. Each part of
    a user's candidates comes with all of the user's events. Memory: the ranker, the events of one user, and the
    candidates of one part; the table of items is mapped, so all workers of a host share one copy.

    Args:
        rankers: the shipped rankers.
        model: name of the ranker that scores.
        search_index: the shipped search index that the ranker was trained with.
        parameters: search and lengths that the ranker was trained with.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        scorer = load_scorer(shipped(rankers), model, shipped(search_index))
        known = load_search_index(shipped(search_index))
        tasks = list(scorer.ranker.shape.tasks)
        for rows in users_of(batches):
            is_event = pc.is_null(rows["item_id"])
            asked = rows.filter(pc.invert(is_event))
            if asked.num_rows == 0:
                continue
            events = rows.filter(is_event)
            rows_of, times, labels = (events[name].to_numpy() for name in ("item_row", "time", "labels"))
            past = Past.of(rows_of, times, labels, known)
            of_all = {name: np.array(asked[name]) for name in COUNTED}
            scores = score_user(scorer, Context(_targets(asked, len(tasks)), past, known, parameters), of_all)
            columns = {
                "user_id": asked["user_id"],
                "item_id": asked["item_id"],
                "as_of": asked["time"].cast(pa.timestamp("us", tz="UTC")),
                **{f"score_{task}": pa.array(scores[:, i].copy()) for i, task in enumerate(tasks)},
            }
            yield from pa.table(columns).combine_chunks().to_batches()

    return run


def _targets(candidates: pa.Table, tasks: int) -> Targets:
    n = candidates.num_rows
    rows, times = (candidates[name].to_numpy() for name in ("item_row", "time"))
    return Targets(rows, times, labels=np.zeros((n, tasks), bool), keys=np.zeros(n, np.uint64))
