"""Scores examples, and measures the AUC of each user, on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from models.ranker.network.ranker import Ranker
from models.ranker.network.saved import load_ranker
from models.ranker.training.metrics import auc, auc_per_group
from schemas.features import PARTS
from udfs.arrays import column_matrix
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores

PART_AUC_SCHEMA = "task STRING, auc DOUBLE"
USER_AUC_SCHEMA = "slice STRING, task STRING, model STRING, user_id STRING, auc DOUBLE, impressions LONG"


@cache
def loaded_ranker(folder: Path, name: str) -> Ranker:
    """A ranker of an artifact; it is loaded once per Python worker."""
    return load_ranker(folder, name)


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
                    output = ranker.probabilities(_tensors(batch, ranker)).numpy()
                scores |= {f"{model}_{t}": pa.array(output[:, i].copy()) for i, t in enumerate(ranker.shape.tasks)}
            columns = [*(batch.column(name) for name in kept), *scores.values()]
            yield pa.RecordBatch.from_arrays(columns, [*kept, *scores])

    return run


def _tensors(batch: pa.RecordBatch, ranker: Ranker) -> dict[str, torch.Tensor]:
    tensors = {}
    for name in ranker.shape.columns:
        column = batch.column(name)
        several = pa.types.is_nested(column.type)
        values = column_matrix(column, PARTS.get(name, ())) if several else column.to_numpy(zero_copy_only=False)
        tensors[name] = torch.from_numpy(np.array(values))
    return tensors


def part_aucs(tasks: Sequence[str], model: str) -> Callable[[pa.Table], pa.Table]:
    """Makes the function for ``groupBy(part).applyInArrow`` that measures the AUC of each task in a part of the users.

    Args:
        tasks: names of the tasks; the labels are in columns ``label_<task>``.
        model: name of the model; its scores are in columns ``<model>_<task>``.
    """

    def run(part: pa.Table) -> pa.Table:
        found = [auc(part[f"label_{task}"].to_numpy(), part[f"{model}_{task}"].to_numpy()) for task in tasks]
        return pa.table({"task": list(tasks), "auc": pa.array(found, pa.float64(), from_pandas=True)})

    return run


def user_aucs(tasks: Sequence[str], models: Sequence[str]) -> Callable[[pa.Table], pa.Table]:
    """Makes the function for ``groupBy(bucket, slice).applyInArrow`` that measures AUC by user, task and model.

    Args:
        tasks: names of the tasks; the labels are in columns ``label_<task>``.
        models: names of the models; the scores are in columns ``<model>_<task>``.
    """

    def run(bucket: pa.Table) -> pa.Table:
        users = bucket["user_id"].combine_chunks().dictionary_encode()
        users = users.chunk(0) if isinstance(users, pa.ChunkedArray) else users
        groups = users.indices.to_numpy().astype(np.int64)
        parts = []
        for task in tasks:
            for model in models:
                result = auc_per_group(groups, bucket[f"label_{task}"].to_numpy(), bucket[f"{model}_{task}"].to_numpy())
                n = len(result.group)
                parts.append(
                    pa.table(
                        {
                            "slice": [bucket["slice"][0].as_py()] * n,
                            "task": [task] * n,
                            "model": [model] * n,
                            "user_id": users.dictionary.take(pa.array(result.group)),
                            "auc": pa.array(result.auc, from_pandas=True),
                            "impressions": result.count,
                        }
                    )
                )
        return pa.concat_tables(parts)

    return run
