"""Pairs to judge scores, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa

from qarm.models.llm.judge import JudgeParameters, LikelihoodRatioJudge
from qarm.models.llm.prompts import item_text
from qarm.udfs.batches import Batches
from qarm.udfs.workers import shipped, use_task_cores

JUDGED_SCHEMA = "source STRING, trigger_item_id STRING, target_item_id STRING, judge_score DOUBLE"


@cache
def _judge(folder: Path, parameters: JudgeParameters) -> LikelihoodRatioJudge:
    return LikelihoodRatioJudge(folder, parameters)


def judge(model: str, parameters: JudgeParameters) -> Batches:
    """Scores pairs; the model is loaded once per Python worker.

    Args:
        model: the shipped language model.
        parameters: how it reads.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            texts = [_texts(batch.column(side)) for side in ("trigger", "target")]
            scores = _judge(shipped(model), parameters).score(*texts)
            names = ["source", "trigger_item_id", "target_item_id"]
            columns = [*(batch.column(name) for name in names), pa.array(scores)]
            yield pa.RecordBatch.from_arrays(columns, [*names, "judge_score"])

    return run


def _texts(items: pa.StructArray) -> list[str]:
    return [
        item_text(item["title"], item["category"], dict(item["attributes"] or ()), item["description"])
        for item in items.to_pylist()
    ]
