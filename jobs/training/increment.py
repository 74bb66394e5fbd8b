"""What the ranker of a later night learns from: the examples that are new, and a sample of the others."""

from __future__ import annotations

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
        new_rows: rows of the new files.
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


def settings_of(run: Run) -> str:
    """Digest of what rankers must have in common to go on from each other."""
    return f"{run.settings.digest(run.job.sections)}-{FORMAT}"


def increment(run: Run, frame: Frame, train: list[str], rows: int) -> Increment | None:
    """What to train on from the weights of the night before; None if the training begins anew, and the log says why.

    Args:
        run: the run.
        frame: what tonight's examples stand on.
        train: files of tonight's train examples.
        rows: their rows.
    """
    return unless_told(_increment(run, frame, train, rows), "train_ranker: begins anew")


def _increment(run: Run, frame: Frame, train: list[str], rows: int) -> Increment | str:
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
    return Increment(last, new, tuple(seen), count_rows(run, new), began)


def count_rows(run: Run, files: tuple[str, ...] | list[str]) -> int:
    """Rows of Parquet files, from their footers; the files are URLs with escaped characters."""
    return int(run.spark.read.parquet(*map(unquote, files)).count()) if files else 0
