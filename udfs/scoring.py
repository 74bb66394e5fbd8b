"""Scores examples, and measures the AUC of each user, on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray

from models.device import on_device, own_device
from models.ranker.intervals import BAGS, Counts, count, intervals
from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import load_ranker
from models.ranker.sorted_auc import Levels, Part, count_part
from models.ranker.training.metrics import auc_per_group
from schemas.features import PARTS
from udfs.arrays import column_matrix
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores, use_task_gpu

BAG_SCHEMA = "slice STRING, task STRING, bag INT, positives ARRAY<DOUBLE>, negatives ARRAY<DOUBLE>, sums ARRAY<DOUBLE>"
INTERVAL_SCHEMA = "slice STRING, task STRING, metric STRING, value DOUBLE, low DOUBLE, high DOUBLE, examples DOUBLE"
PART_SCHEMA = "key INT, lowest DOUBLE, positives DOUBLE, negatives DOUBLE, ordered DOUBLE"
USER_AUC_SCHEMA = "slice STRING, task STRING, model STRING, user_id STRING, auc DOUBLE, impressions LONG"


@cache
def loaded_ranker(folder: Path, name: str) -> Ranker:
    """A ranker of an artifact on the device of this process; it is loaded once per Python worker."""
    use_task_gpu()
    return load_ranker(folder, name).to(own_device())


def score(artifact: str, models: Sequence[str], kept: Sequence[str]) -> Batches:
    """Makes the function for ``mapInArrow`` that scores examples; each ranker is loaded once per Python worker.

    Args:
        artifact: the shipped rankers.
        models: names of the rankers; the columns of the scores are named ``<model>_<task>``.
        kept: input columns that the output holds too.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            scores: dict[str, pa.Array] = {}
            for model in models:
                ranker = loaded_ranker(shipped(artifact), model)
                with torch.inference_mode():
                    output = ranker.probabilities(_tensors(batch, ranker)).cpu().numpy()
                scores |= {f"{model}_{t}": pa.array(output[:, i].copy()) for i, t in enumerate(ranker.shape.tasks)}
            columns = [*(batch.column(name) for name in kept), *scores.values()]
            yield pa.RecordBatch.from_arrays(columns, [*kept, *scores])

    return run


def _tensors(batch: pa.RecordBatch, ranker: Ranker) -> Mapping[str, torch.Tensor]:
    tensors = {}
    for name in ranker.shape.columns:
        if name in ranker.shape.taught_by:
            continue
        column = batch.column(name)
        several = pa.types.is_nested(column.type)
        values = column_matrix(column, PARTS.get(name, ())) if several else column.to_numpy(zero_copy_only=False)
        tensors[name] = torch.from_numpy(np.array(values))
    return on_device(tensors, ranker.device)


def bag_counts(
    tasks: Sequence[str], model: str, edges: Mapping[str, Sequence[float]]
) -> Callable[[pa.Table], pa.Table]:
    """Makes the function for ``groupBy(slice, bucket).applyInArrow`` that counts the bags of users in a bucket.

    Args:
        tasks: names of the tasks; the labels are in columns ``label_<task>``.
        model: name of the model; its scores are in columns ``<model>_<task>``.
        edges: edges of the bins of scores, by task.
    """

    def run(bucket: pa.Table) -> pa.Table:
        users, _ = _numbered(bucket["user_id"])
        bags = bucket["bag"].to_numpy().astype(np.int64)
        there = np.unique(bags)
        parts = []
        for task in tasks:
            labels, scores = (
                bucket[name].to_numpy().astype(np.float64) for name in (f"label_{task}", f"{model}_{task}")
            )
            counted = count(bags, users, labels, scores, edges=np.asarray(edges[task]))
            columns = {
                "slice": [bucket["slice"][0].as_py()] * len(there),
                "task": [task] * len(there),
                "bag": pa.array(there.astype(np.int32)),
                "positives": _rows(counted.positives[there]),
                "negatives": _rows(counted.negatives[there]),
                "sums": _rows(counted.sums[there]),
            }
            parts.append(pa.table(columns))
        return pa.concat_tables(parts)

    return run


def interval_rows(bags: pa.Table) -> pa.Table:
    """For ``groupBy(slice, task).applyInArrow``: the metrics of a slice and task with their intervals.

    Args:
        bags: rows of :data:`BAG_SCHEMA`; one bag may have several rows.
    """
    of = bags["bag"].to_numpy()
    summed = {}
    for name in ("positives", "negatives", "sums"):
        values = np.stack(bags[name].to_numpy(zero_copy_only=False))
        summed[name] = np.zeros((BAGS, values.shape[1]))
        np.add.at(summed[name], of, values)
    found = intervals(Counts(**summed))
    examples = summed["positives"].sum() + summed["negatives"].sum()
    columns = {
        "slice": [bags["slice"][0].as_py()] * len(found),
        "task": [bags["task"][0].as_py()] * len(found),
        "metric": [*found],
        **{
            end: pa.array([getattr(one, end) for one in found.values()], pa.float64(), from_pandas=True)
            for end in ("value", "low", "high")
        },
        "examples": pa.array([examples] * len(found), pa.float64()),
    }
    return pa.table(columns)


def _rows(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(list(values), pa.list_(pa.float64()))


def _numbered(users: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """A number for every row's user, from 0, and the users by number."""
    found = users.combine_chunks().dictionary_encode()
    found = found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    return found.indices.to_numpy().astype(np.int64), found.dictionary


def auc_parts(slices: int) -> Batches:
    """Makes the function for ``mapInArrow`` that counts a partition of examples, see :mod:`models.ranker.sorted_auc`.

    The batches hold pair (the number of a task and model), score, label and slices of each example, in the order of
    pair and score. Scores that are no number count as equal to each other and higher than all others, as in Spark's
    order. The key of a part is ``pair * slices + slice``.

    Args:
        slices: number of slices.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        of_slice: list[list[Levels]] = [[] for _ in range(slices)]
        for batch in batches:
            pair, score, label = (batch[name].to_numpy() for name in ("pair", "score", "label"))
            score = np.where(np.isnan(score), np.inf, score)
            for slice, rows in enumerate(_rows_of_slices(batch["slices"], slices)):
                found = Levels(pair[rows] * slices + slice, score[rows], label[rows], 1 - label[rows])
                of_slice[slice].append(found.merged())
        parts = [part for levels in of_slice for part in count_part(levels)]
        schema = pa.schema([("key", pa.int32()), *((name, pa.float64()) for name in Part._fields[1:])])
        yield pa.RecordBatch.from_pylist([part._asdict() for part in parts], schema)

    return run


def _rows_of_slices(slices: pa.ListArray, count: int) -> list[NDArray[np.int64]]:
    """The rows in each slice."""
    slice, row = slices.flatten().to_numpy(), pc.list_parent_indices(slices).to_numpy()
    return [row[slice == number] for number in range(count)]


def user_aucs(slices: Sequence[str], tasks: Sequence[str], models: Sequence[str]) -> Callable[[pa.Table], pa.Table]:
    """Makes the function for ``groupBy(bucket).applyInArrow`` that measures AUC by slice, user, task and model.

    Args:
        slices: names of the slices; a row has the places of its own in column ``slices``.
        tasks: names of the tasks; the labels are in columns ``label_<task>``.
        models: names of the models; the scores are in columns ``<model>_<task>``.
    """

    def run(bucket: pa.Table) -> pa.Table:
        groups, names = _numbered(bucket["user_id"])
        rows_of = _rows_of_slices(bucket["slices"].combine_chunks(), len(slices))
        columns = {name: bucket[name].to_numpy() for name in bucket.column_names if name not in {"user_id", "slices"}}
        parts = []
        for (slice, rows), task, model in product(zip(slices, rows_of, strict=True), tasks, models):
            result = auc_per_group(groups[rows], columns[f"label_{task}"][rows], columns[f"{model}_{task}"][rows])
            n = len(result.group)
            parts.append(
                pa.table(
                    {
                        "slice": pa.array([slice] * n, pa.string()),
                        "task": pa.array([task] * n, pa.string()),
                        "model": pa.array([model] * n, pa.string()),
                        "user_id": names.take(pa.array(result.group)),
                        "auc": pa.array(result.auc, pa.float64(), from_pandas=True),
                        "impressions": result.count,
                    }
                )
            )
        return pa.concat_tables(parts)

    return run
