"""Files of the log that were already taken in, so that a later night reads only the new ones."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.intake.items import shape_items
from jobs.intake.matching import UNKNOWN
from lake.frames import frame_of
from lake.inputs.files import InputFile, InputFiles
from lake.inputs.reading import Input
from lake.run import Run
from lake.staleness import last_alike
from schemas.tables import INGESTED_FILES, INTERACTIONS, ITEMS, REJECTED_ROWS

log = logging.getLogger("qarm")


@dataclass(frozen=True)
class Consumed:
    """What earlier runs of ingest took in.

    Attributes:
        files: path, size and time of every file.
        waiting: those of the files that held events of items that the catalogue did not have.
    """

    files: frozenset[tuple[str, int, int]] = frozenset()
    waiting: frozenset[tuple[str, int, int]] = frozenset()

    def new(self, files: InputFiles, has_new_items: Callable[[], bool]) -> InputFiles:
        """The files to read: those that are new or changed, and with new items also those that waited for items.

        If there are none, it is the last file, whose rows change nothing when they are read again.

        Args:
            files: all files of the log.
            has_new_items: tells whether the catalogue has items that it did not have before.
        """
        ready = bool(self.waiting) and has_new_items()
        done = self.files - self.waiting if ready else self.files
        chosen = tuple(file for file in files.files if key_of(file) not in done)
        if len(chosen) == len(files.files):
            return files
        log.info(
            "ingest: %d of %d files of the log are new%s",
            len(chosen),
            len(files.files),
            " or held events of items that are new now" if ready else "",
        )
        return replace(files, files=chosen or files.files[-1:])


def key_of(file: InputFile) -> tuple[str, int, int]:
    """What tells whether a file is the same as before: path, size and time of its last change."""
    return file.path, file.size, file.modified


def consumed(run: Run) -> Consumed:
    """What earlier runs took in by the same settings; nothing if their table is gone or was made anew.

    Driver memory: one row per file of the log.
    """
    read, last = run.find(INGESTED_FILES.name), last_alike(run)
    if read is None or isinstance(last, str):
        return Consumed()
    for table in (INTERACTIONS.name, ITEMS.name):
        if (now := run.lake.warehouse.version(table)) is None or now < int(last.output_versions[table]):
            return Consumed()
    rows = read.where("source = 'interactions'")
    refused = run.find(REJECTED_ROWS.name)
    waits = None if refused is None else refused.where(F.col("reason") == UNKNOWN).select("run_id").distinct()
    files = _keys(rows)
    return Consumed(files, frozenset() if waits is None else _keys(rows.join(waits, "run_id", "left_semi")))


def _keys(rows: DataFrame) -> frozenset[tuple[str, int, int]]:
    return frozenset((row[0], row[1], row[2]) for row in rows.select("path", "size", "modified").collect())


def new_items(run: Run, catalogue: Input) -> bool:
    """Whether the catalogue has an item that the table ``items`` does not have."""
    known = run.find(ITEMS.name)
    if known is None:
        return True
    items = reduce(DataFrame.unionByName, (shape_items(part, run.started_at) for part in catalogue.parts))
    named = items.where("complaint IS NULL").select("item_id")
    return not named.join(known.select("item_id"), "item_id", "left_anti").isEmpty()


def record_files(run: Run, files: Collection[InputFile]) -> None:
    """Writes down the files that this run took in; a file read again counts as of this run."""
    rows = [("interactions", *key_of(file), run.run_id, datetime.now(UTC)) for file in files]
    frame = frame_of(run.spark, rows, INGESTED_FILES.schema)
    run.merge(INGESTED_FILES, frame, compare=["size", "modified", "run_id"])
