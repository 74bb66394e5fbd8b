"""Assigns semantic IDs to embeddings, on the executors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa

from models.quantize.codebook import Codebook
from models.quantize.collisions import move_to_free_codes
from models.quantize.neighbours import nearest_others, read_index
from models.quantize.quality import reconstruction_errors
from udfs.arrays import column_matrix, list_column
from udfs.batches import Batches
from udfs.matrix import read_matrix
from udfs.workers import shipped, use_task_cores

CODES_SCHEMA = "content_hash STRING, codes ARRAY<INT>, reconstruction_error FLOAT, distance FLOAT"
MOVED_SCHEMA = "content_hash STRING, codes ARRAY<INT>, reconstruction_error FLOAT"
NEIGHBOURS_SCHEMA = "content_hash STRING, neighbours ARRAY<LONG>"


@cache
def load_codebook(folder: Path) -> Codebook:
    """A codebook of an artifact; it is loaded once per Python worker."""
    return Codebook.load(folder)


def assign(codebook: str) -> Batches:
    """Makes the function for ``mapInArrow`` that assigns codes; the codebook is loaded once per Python worker.

    Args:
        codebook: the shipped codebook.

    Returns:
        A function from content_hash and embedding to :data:`CODES_SCHEMA`, where ``distance`` is the squared distance
        of the embedding and its reconstruction.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        for batch in batches:
            if batch.num_rows == 0:
                continue
            embeddings = column_matrix(batch.column("embedding"))
            codes, _, reconstructions = load_codebook(shipped(codebook)).assign_with_residuals(embeddings)
            errors = reconstruction_errors(embeddings, reconstructions)
            distances = ((embeddings - reconstructions) ** 2).sum(1)
            columns = [batch.column("content_hash"), list_column(codes), pa.array(errors), pa.array(distances)]
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "codes", "reconstruction_error", "distance"])

    return run


def move_surplus(codebook: str, cap: int) -> Callable[[pa.Table, pa.Table], pa.Table]:
    """Makes the function that moves contents of full SIDs to the nearest last code with room, prefix by prefix.

    Args:
        codebook: the shipped codebook.
        cap: most contents per SID.

    Returns:
        A function of two tables of one prefix: the contents to move (content_hash, embedding, codes), and the number of
        contents of each last code (last, held). It returns :data:`MOVED_SCHEMA`.
    """

    def run(surplus: pa.Table, held: pa.Table) -> pa.Table:
        use_task_cores()
        book = load_codebook(shipped(codebook))
        surplus = surplus.sort_by("content_hash")
        if surplus.num_rows == 0:
            return pa.table({"content_hash": [], "codes": [], "reconstruction_error": []}, _arrow_schema())
        embeddings = column_matrix(surplus["embedding"])
        codes = column_matrix(surplus["codes"]).copy()
        _, residuals, _ = book.assign_with_residuals(embeddings)
        load = np.zeros(book.sizes[-1], np.int64)
        load[held["last"].to_numpy()] = held["held"].to_numpy()
        distances = book.last_distances(residuals)
        codes[:, -1] = move_to_free_codes(distances, codes[:, -1], load, cap)
        errors = reconstruction_errors(embeddings, book.reconstruct(codes))
        return pa.table([surplus["content_hash"], list_column(codes), pa.array(errors)], _arrow_schema())

    return run


def _arrow_schema() -> pa.Schema:
    return pa.schema(
        [("content_hash", pa.string()), ("codes", pa.list_(pa.int32())), ("reconstruction_error", pa.float32())]
    )


def neighbours(matrix: str, dimension: int, k: int, index: str = "") -> Batches:
    """Makes the function for ``mapInArrow`` that finds the nearest other contents.

    Args:
        matrix: the shipped file with the embeddings of all contents, in the order of ``position``.
        dimension: dimension of the embeddings.
        k: number of neighbours.
        index: the shipped index of the embeddings; empty for an exact search.
    """

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        use_task_cores()
        embeddings = read_matrix(shipped(matrix), dimension)
        searched = read_index(shipped(index)) if index else embeddings
        for batch in batches:
            own = batch.column("position").to_numpy()
            found = nearest_others(np.ascontiguousarray(embeddings[own]), searched, own, k)
            columns = [batch.column("content_hash"), list_column(found)]
            yield pa.RecordBatch.from_arrays(columns, ["content_hash", "neighbours"])

    return run
