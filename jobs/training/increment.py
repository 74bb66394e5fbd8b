"""What the ranker of a later night learns from: the examples that are new, and a sample of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import unquote

from pyspark.sql import functions as F

from jobs.examples.frame import Frame
from jobs.training.rankers import is_readable
from lake.artifacts import Artifact
from lake.growth import Growth
from lake.history import has_version
from lake.run import Run
from lake.staleness import unless_told
from models.ranker.network.saved import FORMAT

EXAMPLES = "ranker_examples"


@dataclass(frozen=True)
class Began:
    """The last training that began anew, as JSON of the rankers.

    Attributes:
        rows: its train examples.
        valid_from: first day after them.
    """

    rows: int
    valid_from: str


@dataclass(frozen=True)
class Increment:
    """What a later night trains on.

    Attributes:
        last: the rankers of the night before.
        new: files of train examples that the rankers have not seen.
        old: files of the other train examples.
        new_rows: rows of the new files that are read.
        began: the last training that began anew.
    """

    last: Artifact
    new: tuple[str, ...]
    old: tuple[str, ...]
    new_rows: int
    began: Began


def files_of(run: Run, version: int, frame: Frame, split: str) -> list[str]:
    """The files of one split of the examples; each file holds examples of one block of days, so of one split."""
    of_split = frame.periods.split_of(F.col("days_from")) == split
    return run.lake.warehouse.files(EXAMPLES, version, of_split)


def shares_to_read(files: Sequence[str], frame: Frame) -> dict[str, float]:
    """The share of the rows that is read, of files that are not read as a whole; see :meth:`Frame.share_to_read`.

    Args:
        files: files of the examples.
        frame: what the examples stand on.
    """
    block = {file: date.fromisoformat(file.rsplit("days_from=", 1)[1][:10]) for file in files}
    found = {file: frame.share_to_read(first) for file, first in block.items()}
    return {file: share for file, share in found.items() if share < 1}


def settings_of(run: Run) -> str:
    """Digest of what rankers must have in common to go on from each other."""
    return f"{run.settings.digest(run.job.sections)}-{FORMAT}"


def increment(run: Run, frame: Frame, train: list[str], *, shares: Mapping[str, float], rows: int) -> Increment | None:
    """What to train on from the weights of the night before; None if the training begins anew, and the log says why.

    Args:
        run: the run.
        frame: what tonight's examples stand on.
        train: files of tonight's train examples.
        shares: result of :func:`shares_to_read`.
        rows: their rows that are read.
    """
    return unless_told(_increment(run, frame, train, shares=shares, rows=rows), "train_ranker: begins anew")


def _increment(run: Run, frame: Frame, train: list[str], *, shares: Mapping[str, float], rows: int) -> Increment | str:
    if not run.lake.goes_on:
        return "nothing of earlier nights is to be taken over"
    last = run.latest("ranker")
    if last is None:
        return ""
    if not is_readable(last) or last.card.get("settings") != settings_of(run):
        return "settings or code changed"
    before = Frame.from_card(last.card["frame"])
    if before.origin != frame.origin:
        return "all examples were built again"
    version = int(last.card["recipe"]["examples"])
    if not has_version(run.lake.warehouse, EXAMPLES, version):
        return "the examples of the last training are gone"
    seen = files_of(run, version, before, "train")
    if not set(seen) <= set(train):
        return "earlier examples were written again"
    new = tuple(file for file in train if file not in set(seen))
    began = Began(**last.card["began"])
    days = (frame.periods.valid_from - date.fromisoformat(began.valid_from)).days
    growth, trigger = Growth((rows - began.rows) / rows, days), run.settings.increments.ranker
    if growth.is_due(trigger):
        return growth.words(trigger).replace("events", "train examples")
    return Increment(last, new, tuple(seen), count_rows(run, new, shares), began)


def count_rows(run: Run, files: Sequence[str], shares: Mapping[str, float]) -> int:
    """Rows of Parquet files that are read, about, from their footers; the files are URLs with escaped characters.

    Args:
        run: the run.
        files: the files.
        shares: result of :func:`shares_to_read`.
    """
    rows = 0.0
    for share in {shares.get(file, 1.0) for file in files}:
        alike = [unquote(file) for file in files if shares.get(file, 1.0) == share]
        rows += share * run.spark.read.parquet(*alike).count()
    return round(rows)
