"""Judges pairs of contents, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pyarrow as pa

from models.llm.encoder import EncoderParameters
from models.llm.endpoint import EndpointParameters
from models.llm.judge import Judge
from models.llm.judges import local_judge
from models.llm.judges.yes_no_endpoint import EndpointJudge
from models.llm.prompts import item_text
from udfs.batches import Batches
from udfs.workers import shipped, use_task_cores, use_task_gpu

OPINION_SCHEMA = (
    "trigger_content STRING, target_content STRING, judge_score DOUBLE, reason STRING, tokens_read LONG,"
    " tokens_written LONG"
)


@cache
def _local(name: str, folder: Path, parameters: EncoderParameters) -> Judge:
    use_task_gpu()
    return local_judge(name)(folder, parameters)


def judge_locally(name: str, model: str, parameters: EncoderParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that scores pairs with a local model, loaded once per Python worker.

    Args:
        name: name of the judge.
        model: the shipped language model.
        parameters: parameters of the encoder.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            if batch.num_rows:
                yield _judged(batch, _local(name, shipped(model), parameters))

    return run


def judge_by_endpoint(parameters: EndpointParameters) -> Batches:
    """Makes the function for ``mapInArrow`` that scores pairs by requests to an endpoint.

    Args:
        parameters: parameters of the requests; the limits are those of one task.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if batch.num_rows:
                yield _judged(batch, EndpointJudge(parameters))

    return run


def _judged(batch: pa.RecordBatch, judge: Judge) -> pa.RecordBatch:
    opinions = judge.opinions(_texts(batch.column("trigger")), _texts(batch.column("target")))
    names = ["trigger_content", "target_content"]
    # Only the sum of the tokens is used, so the first row of a batch holds all of its tokens.
    tokens = [pa.array([total] + [0] * (batch.num_rows - 1), pa.int64()) for total in opinions.tokens]
    scores = pa.array(opinions.scores, from_pandas=True)  # NaN (no answer) becomes null
    columns = [*(batch.column(name) for name in names), scores, pa.array(opinions.reasons, pa.string()), *tokens]
    return pa.RecordBatch.from_arrays(columns, [*names, "judge_score", "reason", "tokens_read", "tokens_written"])


def _texts(items: pa.StructArray) -> list[str]:
    return [
        item_text(item["title"], item["category"], dict(item["attributes"] or ()), item["description"])
        for item in items.to_pylist()
    ]
