"""Reads stretches of Parquet row groups as tensors, by Petastorm, in a given order."""

from __future__ import annotations

import atexit
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Full
from threading import Semaphore
from typing import Any
from weakref import WeakSet

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from models.feed.columns import column_matrix
from models.feed.file_systems import opened
from models.feed.shuffling import Rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from petastorm.arrow_reader_worker import ArrowReaderWorker
    from petastorm.reader import Reader
    from petastorm.workers_pool import EmptyResultError
    from petastorm.workers_pool.thread_pool import ThreadPool, WorkerTerminationRequested
    from petastorm.workers_pool.ventilator import ConcurrentVentilator

# Petastorm works with what pyarrow 14 deprecates; its users can do nothing about it.
warnings.filterwarnings("ignore", category=FutureWarning, module="petastorm")

Columns = Mapping[str, Sequence[str]]
"""Names of columns, each with the names of its fields if it is a STRUCT column."""

ROWS_AT_ONCE = 4096
PIECES_AHEAD = 2
STOP_SECONDS = 0.1
BUFFER_BYTES = 1 << 20
"""Size of each column's file buffer, so that a column chunk is not read as a whole."""


@dataclass(frozen=True)
class Stretch:
    """Consecutive rows of one row group.

    Attributes:
        path: path of the file on its file system.
        row_group: index of the row group within the file.
        start: first row.
        stop: end row, exclusive.
    """

    path: str
    row_group: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start


class ParquetFiles:
    """Parquet files of one table snapshot, on a file system of :mod:`models.feed.file_systems`.

    Args:
        urls: URLs of the files, all on one file system.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._filesystem, self.paths = opened(urls)

    def row_groups(self) -> list[Stretch]:
        """Every whole row group, in the order of the files; reads the files' footers."""
        found = []
        for path in self.paths:
            with self._filesystem.open(path) as stream:
                footer = pq.ParquetFile(stream).metadata
            sizes = [footer.row_group(number).num_rows for number in range(footer.num_row_groups)]
            found += [Stretch(path, number, 0, size) for number, size in enumerate(sizes)]
        return found

    def read(self, columns: Columns, stretches: Sequence[Stretch]) -> Iterator[Rows]:
        """Reads the rows of stretches in the given order, a few thousand rows at a time.

        A thread reads and decodes. If a core is free, it works ahead of the caller. If torch computes on all cores, it
        works only while the caller waits: torch's threads wait for the slowest thread in every operation, so a busy
        core would slow all of them. Memory: at most four pieces of 4,096 rows, and a file buffer per column.

        Args:
            columns: columns of numbers, fixed-length lists or STRUCTs, each with the names of its fields.
            stretches: the rows to read.

        Raises:
            ValueError: a column is missing, contains nulls or text, has lists of different lengths, or is a STRUCT with
                other fields.
        """
        reader = _StretchReader(self._filesystem, self.paths, columns, stretches)
        with reader:
            yield from reader


_readers: WeakSet[_StretchReader] = WeakSet()


@atexit.register
def _stop_readers() -> None:
    """Stops all reader threads at exit: a thread still inside Arrow when Python ends would abort the process."""
    for reader in list(_readers):
        reader.stop()
        reader.join()


class _StretchReader(Reader):
    """Petastorm's reader, reading stretches instead of whole row groups.

    Petastorm's schema does not support STRUCT columns, so the columns are given to the worker instead of to Petastorm.
    """

    def __init__(
        self, filesystem: object, paths: Sequence[str], columns: Columns, stretches: Sequence[Stretch]
    ) -> None:
        self._columns, self._stretches = columns, stretches
        # With more than one worker the order of the rows would depend on their speed.
        pool = _Pool(1, PIECES_AHEAD, in_turns=computes_on_all_cores())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Petastorm warns of the columns that its schema does not support
            super().__init__(
                filesystem, list(paths), worker_class=_StretchWorker, reader_pool=pool,
                shuffle_row_groups=False, num_epochs=1, is_batched_reader=True,
            )  # fmt: skip
        _readers.add(self)

    def _filter_row_groups(self, dataset: object, row_groups: Sequence[Any], *_: object) -> tuple[list[int], None]:
        places = {(piece.path, piece.row_group): place for place, piece in enumerate(row_groups)}
        self._items = [
            {"piece_index": places[s.path, s.row_group], "start": s.start, "stop": s.stop, "columns": self._columns}
            for s in self._stretches
        ]
        return list(range(len(row_groups))), None

    def _create_ventilator(self, *_: object) -> ConcurrentVentilator:
        return ConcurrentVentilator(
            self._workers_pool.ventilate, self._items, iterations=1, max_ventilation_queue_size=PIECES_AHEAD
        )


def computes_on_all_cores() -> bool:
    """Whether torch computes on all CPU cores, so that none is free for a reader thread."""
    return not torch.cuda.is_available() and torch.get_num_threads() >= len(os.sched_getaffinity(0))


class _Pool(ThreadPool):
    """Petastorm's thread pool with blocking waits; the original polls a thousand times a second (5 % of a core).

    Args:
        workers: number of threads.
        ahead: largest number of results that wait for the reader.
        in_turns: whether a worker continues only when the reader has no result left to take.
    """

    def __init__(self, workers: int, ahead: int, in_turns: bool) -> None:
        super().__init__(workers, ahead)
        self._in_turns = in_turns
        self._wanted = Semaphore(0)

    def get_results(self) -> Any:
        """Returns the next result; lets the worker continue if there is none yet."""
        if self._results_queue.empty():
            self._wanted.release()
        return super().get_results()

    def _stop_aware_put(self, data: object) -> None:
        self._until_stopped(lambda: self._put(data))
        if self._in_turns and isinstance(
            data, dict
        ):  # only rows make the worker wait for its turn, other messages do not
            self._until_stopped(lambda: self._wanted.acquire(timeout=STOP_SECONDS))

    def _put(self, data: object) -> bool:
        try:
            self._results_queue.put(data, timeout=STOP_SECONDS)
        except Full:  # training is slower than reading
            return False
        return True

    def _until_stopped(self, attempt: Callable[[], bool]) -> None:
        while not self._stop_event.is_set():
            if attempt():
                return
        raise WorkerTerminationRequested


class _StretchWorker(ArrowReaderWorker):
    """Petastorm's worker, decoding a row group in pieces, because a decoded row group may not fit into memory."""

    publish_func: Callable[[object], None]

    @staticmethod
    def new_results_queue_reader() -> _Results:
        return _Results()

    def process(self, piece_index: int, start: int, stop: int, columns: Columns) -> None:
        """Publishes the rows of a stretch, or the error that reading them raised."""
        piece = self._split_pieces[piece_index]
        at = 0
        try:
            with self._filesystem.open(piece.path) as stream:
                file = pq.ParquetFile(stream, buffer_size=BUFFER_BYTES)
                if missing := [name for name in columns if name not in file.schema_arrow.names]:
                    raise ValueError(f"column {missing[0]} is missing in {piece.path}; build the table again")
                for batch in file.iter_batches(ROWS_AT_ONCE, [piece.row_group], list(columns), use_threads=False):
                    first, last = max(start - at, 0), min(stop - at, len(batch))
                    if first < last:
                        self.publish_func(_tensors(batch.slice(first, last - first), columns, piece.path))
                    at += len(batch)
                    if at >= stop:
                        break
        except (
            ValueError
        ) as error:  # published, not raised: a raised error would also be printed as a failure of the thread
            self.publish_func(error)


class _Results:
    """Passes on the worker's results unchanged."""

    batched_output = True

    def read_next(self, pool: ThreadPool, *_: object) -> Rows:
        try:
            rows: Rows = pool.get_results()
        except EmptyResultError:
            raise StopIteration from None
        return rows


def _tensors(batch: pa.RecordBatch, columns: Columns, path: str) -> Rows:
    rows = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            rows[name] = _tensor(column, columns[name])
        except (ValueError, TypeError) as error:
            raise ValueError(f"column {name} of {path}: {error}") from None
    return rows


def _tensor(column: pa.Array, parts: Sequence[str]) -> torch.Tensor:
    lists = isinstance(column, pa.ListArray | pa.LargeListArray)
    if column.null_count or (lists and column.flatten().null_count):
        raise ValueError("null is not allowed")
    several = lists or isinstance(column, pa.StructArray)
    values = column_matrix(column, parts) if several else column.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iufb":
        raise ValueError(f"{column.type} is not a numeric type")
    return torch.from_numpy(values.copy())  # Arrow's memory is not writable
