"""Which jobs the options of the nightly choose."""

from __future__ import annotations

import argparse

import pytest

from jobs.night.plan import Choice, Foreseen, as_text, chosen
from lake.declaration import Job
from schemas.errors import UserError

JOBS = [Job(name=name, steps=lambda _: None) for name in ("ingest", "mine", "train", "report")]


def choice(**given: object) -> Choice:
    none = {"from_job": None, "only": None, "until": None, "force": False, "full_refresh": False}
    return chosen(JOBS, argparse.Namespace(**{**none, **given}))


@pytest.mark.parametrize(
    ("given", "names", "wanted"),
    [
        ({}, "ingest mine train report", {}),
        ({"until": "mine"}, "ingest mine", {}),
        ({"from_job": "mine"}, "mine train report", {"mine": "--from"}),
        ({"from_job": "mine", "until": "train"}, "mine train", {"mine": "--from"}),
        ({"only": "train"}, "train", {"train": "--only"}),
        ({"full_refresh": True, "only": "train"}, "train", {"train": "--full-refresh"}),
        ({"force": True, "until": "mine"}, "ingest mine", {"ingest": "--force", "mine": "--force"}),
    ],
)
def test_options_choose(given: dict[str, object], names: str, wanted: dict[str, str]) -> None:
    found = choice(**given)
    assert [job.name for job in found.jobs] == names.split()
    assert found.wanted == wanted


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"from_job": "fit"}, "--from fit: no such job; the jobs are ingest, mine, train, report"),
        ({"only": "fit"}, "--only fit: no such job"),
        ({"until": "fit"}, "--until fit: no such job"),
        ({"only": "mine", "until": "train"}, "--only mine is one job"),
        ({"from_job": "train", "until": "mine"}, "--from train comes after --until mine"),
    ],
)
def test_what_makes_no_sense_is_told(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as told:
        choice(**given)
    assert message in str(told.value)


def test_the_plan_as_text() -> None:
    plan = [
        Foreseen("ingest", True, "log.csv changed", None, None, 1.25),
        Foreseen("mine", True, "after ingest", 1_000_000, 10_000, None),
        Foreseen("train", False, "up to date", 10, None, None),
    ]
    lines = as_text(plan).splitlines()
    assert lines[1].split() == ["ingest", "-", "-", "1.2", "log.csv", "changed"]
    assert lines[2].split() == ["mine", "1,000,000", "10,000", "-", "after", "ingest"]
    assert lines[3].split() == ["train", "10", "-", "-", "up", "to", "date"]
    assert lines[4].split()[:2] == ["all", "1.2"]
    assert "and those of mine, which never ran here" in lines[4]


def test_the_plan_of_an_empty_warehouse_says_that_nothing_ran_yet() -> None:
    plan = [Foreseen(name, True, "never run", None, None, None) for name in ("ingest", "mine")]
    assert as_text(plan).splitlines()[-1].endswith("no job ran here yet, so it is not known how long they take")
