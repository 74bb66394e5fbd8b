"""Looks at a log and a catalogue, and writes settings for their first night, each with its reason.

Shows the columns with their types, ranges, nulls and distinct values, what ingest would take and reject and why, and
what follows from that. It asks nothing, and writes nothing but the file of settings.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jobs.intake.inputs import sources
from jobs.intake.options import INPUT_OPTIONS
from jobs.intake.summary import intake_text
from jobs.start.choices import (
    Choice,
    action_choices,
    history_choices,
    model_choices,
    rating_choices,
    size_choices,
    split_choices,
)
from jobs.start.columns import time_of
from jobs.start.guesses import Look, guess, reading_choices
from jobs.start.look import look_at, with_format
from jobs.start.machine import MODELS, this_machine
from jobs.start.ratings import Rating
from jobs.start.shown import columns_table
from jobs.start.trial import Trial, tried
from jobs.start.written import night_toml
from lake.command import Command, main
from lake.declaration import Option
from lake.execution import new_run_id
from lake.run import Lake
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.settings import load_settings

NEEDED_DAYS = 3
"""Days that a log needs for a train, a validation and a test period."""


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Looks, guesses, tries, and writes the file.

    Raises:
        UserError: the file exists, an input cannot be read, no column can be what is needed, or ingest would take
            nothing.
    """
    out, ingest = Path(options.out), lake.settings.ingest
    _refuse_unwritable(out)
    places = [with_format(lake.spark, source.place) for source in sources(ingest)]
    log, catalogue = (Look(place, look_at(lake.spark, place)) for place in places)
    rating = guess(log, catalogue, ingest)
    for look, otherwise in ((log, "not read"), (catalogue, "attribute")):
        print(f"{look.place.option} {look.place.path}: {look.columns[0].rows:,} rows", file=sys.stderr)
        print(columns_table(look.columns, look.guesses, otherwise), file=sys.stderr)
    reading = reading_choices(log, catalogue, ingest, rating)
    trial = tried(lake.spark, lake.settings, [*reading, *([] if rating is None else rating_choices(rating))])
    notes = _notes(log, trial)
    print("\n".join([intake_text(trial.numbers), *notes]), file=sys.stderr)
    head = [
        f"Settings that `init` guessed on {datetime.now(UTC):%Y-%m-%d}, each below its reason. Change what is wrong;"
        " conf/default.toml has all other settings.",
        *notes,
    ]
    out.write_text(night_toml([*reading, *_choices(log, rating, trial)], head), encoding="utf-8")
    load_settings([out])
    print(f"written: {out}. {_next_steps(out)}", file=sys.stderr)
    closing = {"job": "init", "status": "done", "run_id": new_run_id(), "outputs": {}, "metrics": dict(trial.numbers)}
    return {**closing, "settings": str(out)}


def _refuse_unwritable(out: Path) -> None:
    if out.exists():
        raise UserError(f"--out {out}: the file is there already; name another one, or remove it")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}; make it, or name another one")


def _choices(log: Look, rating: Rating | None, trial: Trial) -> list[Choice]:
    actions = trial.actions if log.means("action") else {}
    machine = this_machine()
    return [
        *action_choices(actions, rating, purchases=log.means("weight") is not None),
        *split_choices(trial.days),
        *history_choices(trial.median_events),
        *model_choices(trial.contents, trial.characters, machine),
        *size_choices(trial.contents, trial.events, machine),
    ]


def _notes(log: Look, trial: Trial) -> list[str]:
    """What a person should know of the data, beside the numbers of ingest."""
    form, days = time_of(log.columns, log.guesses), trial.days
    zone = "" if form is None or form.zone else "; they are read as UTC"
    notes = [
        f"days                      {len(days):,}, from {days[0][0]} to {days[-1][0]};"
        f" times are {'of a type' if form is None else form.words}{zone}",
        f"users                     {trial.users:,}, half of them with at most {trial.median_events:,.0f} events",
        f"contents                  {trial.contents:,} different texts of items",
    ]
    if len(days) < NEEDED_DAYS:
        notes.append(f"TOO SHORT                 a night needs events on {NEEDED_DAYS} days at least")
    if not this_machine().packages:
        notes.append(f"NO MODEL                  install one of {', '.join(MODELS)}, or set language_model.model")
    return notes


def _next_steps(out: Path) -> str:
    program = "./spark-submit.sh" if Path.cwd() == ROOT else str(ROOT / "spark-submit.sh")
    return (
        f"Read it; then\n  {program} doctor --config {out}             is this machine ready?\n"
        f"  {program} nightly --config {out} --dry-run  what would run\n"
        f"  {program} nightly --config {out}            the first night"
    )


COMMAND = Command(
    name="init",
    description=__doc__ or "",
    run=command,
    options=(
        *INPUT_OPTIONS,
        Option(
            flags=("--out",),
            help="file that the settings are written to (default night.toml)",
            metavar="FILE.toml",
            more={"default": "night.toml"},
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
