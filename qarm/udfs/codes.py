"""Embeddings to semantic IDs, on the executors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from qarm.models.quantize.codebook import Codebook
from qarm.models.quantize.neighbours import nearest_others
from qarm.models.quantize.quality import reconstruction_errors
from qarm.udfs.arrays import column_matrix, list_column
from qarm.udfs.batches import Batches
from qarm.udfs.workers import shipped, use_task_cores

CODES_SCHEMA = "content_hash STRING, sid_1 INT, sid_2 INT, sid_3 INT, reconstruction_error FLOAT"
NEIGHBOURS_SCHEMA = "content_hash STRING, neighbours ARRAY<LONG>"


@cache
def _codebook(folder: Path) -> Codebook:
    return Codebook.load(folder)


def assign(codebook: str) -> Batches:
    """Assigns codes; the codebook is loaded once per Python worker.

    Args:
        codebook: the shipped codebook.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            book = _codebook(shipped(codebook))
            embeddings = column_matrix(batch.column("embedding"))
            codes = book.assign(embeddings)
            errors = reconstruction_errors(embeddings, book.reconstruct(codes))
            columns = [batch.column("content_hash"), *(pa.array(level) for level in codes.T.copy()), pa.array(errors)]
            yield pa.RecordBatch.from_arrays(
                columns, ["content_hash", "sid_1", "sid_2", "sid_3", "reconstruction_error"]
            )

    return run


def neighbours(matrix: str, k: int) -> Batches:
    """Finds the nearest other contents.

    Args:
        matrix: the shipped file with all contents' embeddings, in the order of ``position``.
        k: neighbours wanted.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        embeddings = np.load(shipped(matrix), mmap_mode="r")
        for batch in batches:
            own = batch.column("position").to_numpy()
            found = nearest_others(np.ascontiguousarray(embeddings[own]), embeddings, own, k)
            columns = [batch.column("content_hash"), list_column(found)]
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "neighbours"])

    return run
