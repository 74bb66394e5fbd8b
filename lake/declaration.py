"""The declaration of a job, from which follow its options, its place in the order, lineage and staleness."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from schemas.settings import Settings

if TYPE_CHECKING:
    from lake.lake import Lake
    from lake.ledger import RunRecord
    from lake.run import Run


def toml_text(text: str) -> str:
    """A text as a TOML string."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a command line.

    Attributes:
        flags: names of the option, e.g. ``("--until",)``.
        help: text for ``--help``, one line.
        metavar: name of the value in ``--help``.
        setting: setting ``section.key`` that the option sets; None if the command reads the option itself.
        assigns: value that an option without a value gives the setting, as TOML.
        to_toml: turns the option's text into TOML; raises UserError if it cannot.
        more: further arguments for argparse.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    setting: str | None = None
    assigns: str | None = None
    to_toml: Callable[[str], str] = toml_text
    more: dict[str, Any] = field(default_factory=dict)


EXAMPLES = ("", "--warehouse hdfs:///lake/qarm --master yarn --num-executors 20")
"""Examples of a job that takes only the options of every job."""


def any_settings(_: Settings) -> None:
    """The check of a job that accepts all settings."""


def always(_: Settings) -> bool:
    """For a job that every night wants."""
    return True


@dataclass(frozen=True, kw_only=True)
class Job:
    """The declaration of one job.

    A job is stale, and the nightly runs it, if a table or artifact that it reads, updates or uses has another version
    than at its last run, if a setting of its sections changed, or if its output no longer exists.

    Attributes:
        name: name of the job and of its file.
        steps: function that does the work.
        sections: sections of the settings whose change makes the job stale.
        reads: tables that the job reads.
        updates: tables of other jobs that the job reads and changes.
        writes: tables that the job writes.
        uses: kinds of artifact that the job reads.
        makes: kinds of artifact that the job publishes.
        consults: tables and kinds of artifact that the job reads although their change does not make it stale, e.g.
            its own earlier results and the record of runs.
        after: jobs that run earlier although this job does not read their results.
        nightly: whether the nightly runs the job.
        wanted: whether the settings ask for its result; a nightly leaves the job out if they do not.
        source_files: returns the URLs of the user's input files; None for a job without input files.
        options: options of the command line in addition to those of every job.
        examples: what ``--help`` shows as examples, each the options after the job's name.
        check: raises UserError for settings that the job cannot run with; it is called before any work.
        stands: for a job whose result stays although its inputs changed: returns why it stays, or None if it is due
            again. It gets the job's newest successful run.
    """

    name: str
    steps: Callable[[Run], None]
    sections: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    updates: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    consults: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    nightly: bool = True
    wanted: Callable[[Settings], bool] = always
    source_files: Callable[[Settings], Sequence[str]] | None = None
    options: tuple[Option, ...] = ()
    examples: tuple[str, ...] = EXAMPLES
    check: Callable[[Settings], None] = any_settings
    stands: Callable[[Lake, RunRecord], str | None] | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables and kinds of artifact whose change makes the job stale."""
        return (*self.reads, *self.updates, *self.uses)

    @property
    def may_read(self) -> frozenset[str]:
        """All tables and kinds of artifact that the job may read."""
        return frozenset((*self.inputs, *self.writes, *self.makes, *self.consults))

    @property
    def may_write(self) -> frozenset[str]:
        """All tables and kinds of artifact that the job may write."""
        return frozenset((*self.updates, *self.writes, *self.makes))


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Sorts jobs so that each comes after the jobs whose results it reads; ties are broken by name.

    Args:
        jobs: jobs in any order.

    Raises:
        graphlib.CycleError: two jobs depend on each other.
    """
    named = {job.name: job for job in jobs}
    sorter = TopologicalSorter({job.name: _before(job, list(named.values())) for job in named.values()})
    sorter.prepare()
    ready, ordered = list[str](), list[Job]()
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()])
        chosen = ready.pop(0)
        ordered.append(named[chosen])
        sorter.done(chosen)
    return ordered


def _before(job: Job, jobs: Sequence[Job]) -> set[str]:
    """Names of the jobs that must run before a job."""
    found = {other.name for other in jobs if other.name in job.after}
    for other in jobs:
        made = {*other.writes, *other.makes}
        if made & {*job.inputs} or {*other.updates} & {*job.reads}:
            found.add(other.name)
    return found - {job.name}
