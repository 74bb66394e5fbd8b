"""Looks at a log and a catalogue, and writes settings for their first night, each with its reason.

Shows the columns with their types, ranges, nulls and distinct values, what ingest would take and reject and why, and
what follows from that. It asks nothing, and writes nothing but the file of settings.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
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
    judge_choices,
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
from jobs.start.said import said_choices, unless_said
from jobs.start.shown import columns_table
from jobs.start.trial import Trial, tried
from jobs.start.written import night_toml
from lake.command import Command, main
from lake.declaration import Option
from lake.lake import Lake
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.settings import Settings, load_settings

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
    said = said_choices(lake.settings)
    named = {choice.setting for choice in said}
    rating = guess(log, catalogue, ingest, ingest.label_above if "ingest.label_above" in named else None)
    for look, otherwise in ((log, "not read"), (catalogue, "attribute")):
        print(f"{look.place.option} {look.place.path}: {look.columns[0].rows:,} rows", file=sys.stderr)
        print(columns_table(look.columns, look.guesses, otherwise), file=sys.stderr)
    reading = unless_said(reading_choices(log, catalogue, rating), said)
    trial = tried(
        lake.spark, lake.settings, unless_said([*reading, *([] if rating is None else rating_choices(rating))], said)
    )
    choices = unless_said([*reading, *_choices(log, rating, trial, lake.settings)], said)
    notes = _notes(log, trial, choices)
    print("\n".join([intake_text(trial.numbers), *notes]), file=sys.stderr)
    head = [
        f"Settings that `init` guessed on {datetime.now(UTC):%Y-%m-%d}, each below its reason. Change what is wrong;"
        " conf/default.toml has all other settings.",
        *notes,
    ]
    out.write_text(night_toml(choices, head), encoding="utf-8")
    load_settings([out])
    print(f"written: {out}. {_next_steps(out)}", file=sys.stderr)
    return {"job": "init", "status": "done", "outputs": {}, "metrics": dict(trial.numbers), "settings": str(out)}


def _refuse_unwritable(out: Path) -> None:
    if out.exists():
        raise UserError(f"--out {out}: the file is there already; name another one, or remove it")
    if not out.absolute().parent.is_dir():
        raise UserError(f"--out {out}: there is no folder {out.absolute().parent}; make it, or name another one")


def _choices(log: Look, rating: Rating | None, trial: Trial, settings: Settings) -> list[Choice]:
    machine, default, named = this_machine(), load_settings(), {choice.setting for choice in said_choices(settings)}
    one_action = rating is None and "ingest.default_action" in named
    actions = trial.actions if one_action or log.means("action") else {}
    impression = settings.ranking.impression if "ranking.impression" in named else None
    # What is guessed of a model holds for the one that is guessed.
    own_model, own_judge = "language_model.model" in named, not {"judge.model", "judge.method"}.isdisjoint(named)
    return [
        *action_choices(actions, rating, purchases=log.means("weight") is not None, impression=impression),
        *split_choices(trial.days),
        *history_choices(trial.median_events, default.mine.min_user_items),
        *([] if own_model else model_choices(trial.contents, trial.characters, machine)),
        *([] if own_judge else judge_choices(machine)),
        *size_choices(trial.contents, trial.events, machine),
    ]


def _notes(log: Look, trial: Trial, choices: Sequence[Choice]) -> list[str]:
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
    named = {choice.setting for choice in choices}
    if "ranking.tasks" not in named:
        notes.append("NO TASK                   no action says that an item was wanted; set ranking.tasks")
    if not this_machine().packages and "language_model.model" not in named:
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
