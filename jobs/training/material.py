"""What the models of a night learn from: feeds over the examples, and the weights to begin with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.examples.frame import Frame
from jobs.training.increment import Began, Increment, count_rows, files_of, increment, shares_to_read
from lake.artifacts import Artifact
from lake.local_copies import LocalCopies
from lake.run import Run
from models.feed.feed import Feed
from models.training_loop import TrainingParameters
from schemas.features import PARTS
from schemas.parameters import take
from schemas.settings import Settings


@dataclass(frozen=True)
class Material:
    """What the models of a night learn from.

    Attributes:
        index: the search index of the examples.
        train, valid: files of the examples.
        shares: share of the rows that is read, of files that are not read as a whole.
        copies: gives Petastorm files that it can read.
        last: the rankers whose weights the training starts from; None for random weights.
        increment: what is new since the rankers of the night before; None if the training begins anew.
    """

    index: Artifact
    train: Sequence[str]
    valid: Sequence[str]
    shares: Mapping[str, float]
    copies: LocalCopies
    last: Artifact | None
    increment: Increment | None

    def feeds(self, run: Run, columns: Sequence[str], goes_on: bool) -> tuple[Feed, Feed]:
        """The feeds of the train and the validation examples.

        Args:
            run: the run.
            columns: columns of the batches.
            goes_on: whether only new examples and a sample of the others are read.
        """
        shuffle = run.settings.ranker.shuffle_rows
        valid = self._feed(run, self.valid, columns, shuffle_rows=0)
        if self.increment is None or not goes_on:
            return self._feed(run, self.train, columns, shuffle_rows=shuffle), valid
        again = round(self.increment.new_rows * run.settings.increments.replay)
        replayed = (self.increment.old, again)
        return self._feed(run, self.increment.new, columns, shuffle_rows=shuffle, replayed=replayed), valid

    def _feed(
        self, run: Run, files: Sequence[str], columns: Sequence[str], *, shuffle_rows: int,
        replayed: tuple[Sequence[str], int] = ((), 0),
    ) -> Feed:  # fmt: skip
        """A feed over some files of the examples, in batches for one process.

        Args:
            run: the run.
            files: the files.
            columns: columns of the batches.
            shuffle_rows: rows in the shuffling buffer; 0 for no shuffling.
            replayed: further files, and how many of their rows each epoch reads again.
        """
        settings = run.settings.ranker
        again, count = replayed
        places = dict(zip([*files, *again], self.copies([*files, *again]), strict=True))
        return take(
            Feed,
            settings,
            files=[places[file] for file in files],
            replayed=[places[file] for file in again],
            replayed_rows=count,
            shares={place: self.shares[file] for file, place in places.items() if file in self.shares},
            columns=columns,
            parts=PARTS,
            batch_size=settings.batch_size // settings.processes,
            shuffle_rows=shuffle_rows,
        )


def parameters_of(settings: Settings, goes_on: bool) -> TrainingParameters:
    """How a ranker is trained; one that goes on takes fewer and smaller steps."""
    given = take(TrainingParameters, settings.ranker)
    if not goes_on:
        return given
    rate = given.learning_rate * settings.increments.learning_rate_share
    return replace(given, max_epochs=settings.increments.epochs, learning_rate=rate)


def material_of(run: Run, index: Artifact, copies: LocalCopies) -> tuple[Material, int, Began]:
    """What to learn from, the number of train examples, and the training that began anew."""
    frame, version = Frame.from_card(index.card["frame"]), int(run.version("ranker_examples"))
    train, valid = (files_of(run, version, frame, split) for split in ("train", "valid"))
    shares = shares_to_read([*train, *valid], frame)
    rows = count_rows(run, train, shares)
    later = increment(run, frame, train, shares=shares, rows=rows)
    last, began = None, Began(rows, frame.periods.valid_from.isoformat())
    if later is not None:
        last, began = later.last, later.began
    elif run.settings.ranker.warm_start:
        last = run.latest("ranker")
    return Material(index, train, valid, shares, copies, last, later), rows, began
