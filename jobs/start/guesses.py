"""What both inputs of a new user are read as, and the settings that say so."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from jobs.start.choices import Choice, label_choice
from jobs.start.column import Column
from jobs.start.columns import Guess, MissingColumnError, guess_catalogue, guess_log, time_of
from jobs.start.ratings import Rating, rating_of
from lake.inputs.files import Place
from schemas.errors import UserError
from schemas.sections import IngestSettings


@dataclass
class Look:
    """An input that was looked at.

    Attributes:
        place: where it is, with its format.
        columns: its columns.
        guesses: what they are read as.
    """

    place: Place
    columns: list[Column]
    guesses: list[Guess] = field(default_factory=list)

    def means(self, ours: str) -> Guess | None:
        """The guess for a name of ours; None if no column has it."""
        return next((guess for guess in self.guesses if guess.ours == ours), None)

    def missing(self, ours: str) -> UserError:
        """No column can be what is needed."""
        there = ", ".join(column.name for column in self.columns[:20])
        return self.place.error(f"no column can be {ours} (it has {there}); name it with --rename theirs={ours}")


def guess(log: Look, catalogue: Look, settings: IngestSettings, above: float | None = None) -> Rating | None:
    """Guesses the meaning of the columns of both inputs.

    Args:
        log: the log; gets its guesses.
        catalogue: the catalogue; gets its guesses.
        settings: what the user has said about columns.
        above: a rating above this number is positive, as the user has said; None to choose.

    Returns:
        The column of the log that says how much a user liked an item; None if there is none.

    Raises:
        UserError: no column can be what is needed, or one name stands for two things.
    """
    said = settings.rename
    for theirs, ours in said.items():
        if all(column.name != theirs for look in (log, catalogue) for column in look.columns):
            raise UserError(f"--rename {theirs}={ours}: no input has a column {theirs}")
    known = {value for column in catalogue.columns for value in column.values}
    try:
        log.guesses = guess_log(log.columns, said, known)
    except MissingColumnError as error:
        raise log.missing(str(error)) from None
    try:
        catalogue.guesses = guess_catalogue(
            catalogue.columns, said, next(g for g in log.guesses if g.ours == "item_id")
        )
    except MissingColumnError as error:
        raise catalogue.missing(str(error)) from None
    rating = rating_of(log.columns, {found.theirs: found.ours for found in log.guesses}, said, above)
    if rating is not None and log.means("label") is None:
        log.guesses.append(Guess(rating.column, "label", "its values say how much the user liked the item"))
    for one, other in ((log, catalogue), (catalogue, log)):
        _refuse_one_name_for_two(one, other)
    return rating


def _refuse_one_name_for_two(one: Look, other: Look) -> None:
    """``ingest.rename`` holds for both inputs, so a name cannot mean something else in the other one."""
    meanings = {guess.theirs: guess.ours for guess in other.guesses}
    for guess in one.guesses:
        there = meanings.get(guess.theirs)
        clashes = there != guess.ours and (there is not None or other.means(guess.ours) is not None)
        if clashes and guess.theirs != guess.ours and any(column.name == guess.theirs for column in other.columns):
            raise UserError(
                f"{one.place.option} {one.place.path}: column {guess.theirs} is {guess.ours}, but {other.place.option}"
                f" has another column of this name; call it {guess.ours} in the file of {one.place.option}"
            )


def reading_choices(log: Look, catalogue: Look, rating: Rating | None) -> list[Choice]:
    """Where the inputs are, and how their files and columns are read.

    Args:
        log: the log, with its guesses.
        catalogue: the catalogue, with its guesses.
        rating: see :func:`guess`.
    """
    both = [*log.guesses, *catalogue.guesses]
    renamed = {found.theirs: found.ours for found in both if found.theirs.casefold() != found.ours}
    choices = [
        Choice("ingest.interactions", _full(log.place.path), f"the log, {log.columns[0].rows:,} rows"),
        Choice("ingest.items", _full(catalogue.place.path), f"the catalogue, {catalogue.columns[0].rows:,} rows"),
    ]
    if renamed:
        reasons = {found.theirs: f"{found.theirs} is {found.ours}: {found.why}" for found in reversed(both)}
        why = "; ".join(reasons[theirs] for theirs in renamed)
        choices.append(Choice("ingest.rename", renamed, why))
    if rating is not None:
        choices.append(label_choice(rating))
    why = "what the files hold, or are called"
    choices += [Choice(f"{look.place.section}.format", look.place.form, why) for look in (log, catalogue)]
    form = time_of(log.columns, log.guesses)
    if form is not None and form.pattern:
        section = log.place.section
        choices.append(Choice(f"{section}.time_format", form.pattern, f"times are written {form.words}"))
    return choices


def _full(path: str) -> str:
    """A local path in full, so that the file of settings can be used from any folder; links stay links."""
    return os.path.abspath(path) if Path(path).exists() else path
