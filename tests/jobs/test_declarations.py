"""What jobs declare holds: files, order, names of tables and artifacts, and what a run may touch."""

from __future__ import annotations

import shlex
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import pytest

import jobs
from jobs.nightly import declared_jobs, nightly_jobs
from lake.command import Command, command_of, parser_of
from lake.declaration import Job, in_order
from lake.run import Run
from lake.submit import main as submit
from lake.submit import split_options
from schemas.errors import UndeclaredError
from schemas.files import ROOT
from schemas.tables import ITEMS, all_contracts

ENTRIES = [found.name for found in iter_modules(jobs.__path__) if not found.ispkg]


@pytest.mark.parametrize("name", ENTRIES)
def test_every_file_of_jobs_declares_the_verb_of_its_name(name: str) -> None:
    module = import_module(f"jobs.{name}")
    entry = getattr(module, "JOB", None) or module.COMMAND
    assert isinstance(entry, Job | Command)
    assert entry.name == name
    command = command_of(entry) if isinstance(entry, Job) else entry
    assert command.description.strip()
    assert parser_of(command).parse_args([]).set == []


@pytest.mark.parametrize("name", ENTRIES)
def test_help_shows_own_options_and_examples_that_are_right(name: str) -> None:
    module = import_module(f"jobs.{name}")
    entry = getattr(module, "JOB", None) or module.COMMAND
    command = command_of(entry) if isinstance(entry, Job) else entry
    parser = parser_of(command)
    text = parser.format_help()
    for option in command.options:
        shown_as = option.flags[0] if option.flags[0].startswith("-") else str(option.metavar)
        assert f"  {shown_as} " in text.split("options of every command")[0].split(f"options of {name}:")[1]
    shown = [line.split(maxsplit=2) for line in text.split("\nexamples:\n")[1].strip().splitlines()]
    assert len(shown) == len(command.examples) > 0
    for program, job, *options in shown:
        assert (program, job) == ("./spark-submit.sh", name)
        _, own = split_options(shlex.split(" ".join(options)))
        parser.parse_args(own)


def test_the_launcher_lists_every_job_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(["--help"]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines[lines.index("jobs:") + 1 :]] == sorted(ENTRIES)
    assert "  report                Writes an HTML page" in "\n".join(lines)


def test_the_order_of_a_night_follows_from_the_declarations() -> None:
    assert [job.name for job in nightly_jobs()] == [
        "ingest", "mine_pairs", "judge_pairs", "write_questions", "write_anchors", "align_encoder", "embed_items",
        "fit_codebook", "assign_semantic_ids", "build_examples", "tokenize_anchors", "train_ranker", "evaluate",
        "train_retriever", "retrieve", "recommend",
        "publish_views", "report",
    ]  # fmt: skip


def test_the_import_linters_list_is_that_of_the_declarations() -> None:
    project = tomllib.loads(Path(ROOT, "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    apart = next(contract["modules"] for contract in contracts if contract["type"] == "independence")
    assert sorted(apart) == sorted(f"jobs.{name}" for name in ENTRIES if name != "nightly")


def test_jobs_name_tables_and_artifacts_that_there_are() -> None:
    tables = {contract.name for contract in all_contracts(["click"])}
    kinds = {kind for job in declared_jobs() for kind in job.makes}
    for job in declared_jobs():
        assert {*job.reads, *job.updates, *job.writes} <= tables, job.name
        assert {*job.uses} <= kinds, job.name
        assert {*job.consults} <= tables | kinds, job.name
    written = [table for job in declared_jobs() for table in job.writes]
    assert len(written) == len(set(written)), "two jobs write one table"
    assert set(written) | {"metrics", "runs", "locks"} == tables


def test_a_job_comes_after_those_that_change_what_it_reads() -> None:
    def job(name: str, **declared: tuple[str, ...]) -> Job:
        return Job(name=name, steps=lambda _: None, **declared)

    given = [
        job("a_reader", reads=("t",)),
        job("b_updater", updates=("t",), uses=("model",)),
        job("c_writer", writes=("t",)),
        job("d_maker", makes=("model",)),
        job("e_last", after=("a_reader",)),
    ]
    assert [found.name for found in in_order(given)] == ["c_writer", "d_maker", "b_updater", "a_reader", "e_last"]


def test_a_run_touches_nothing_that_its_job_does_not_declare(run: Run) -> None:
    narrow = Run(run.lake, Job(name="narrow", steps=lambda _: None, reads=("items",)), "run-1")
    for touch in (
        lambda: narrow.read("interactions"),
        lambda: narrow.find("interactions"),
        lambda: narrow.read_at("interactions", "0"),
        lambda: narrow.latest("codebook"),
        lambda: narrow.use("codebook", "fit_codebook"),
        lambda: narrow.artifact("codebook", "codebook-1"),
        lambda: narrow.append(ITEMS, run.spark.range(0)),
        lambda: narrow.overwrite(ITEMS, run.spark.range(0)),
        lambda: narrow.merge(ITEMS, run.spark.range(0), compare=[]),
        lambda: narrow.publish("codebook", Path(), {}),
        lambda: narrow.made_once("codebook", {}, lambda _: None),
    ):
        with pytest.raises(UndeclaredError, match="which its declaration does not name"):
            touch()
    assert narrow.find("items") is None
