"""What a job declares of itself: order, options, lineage and staleness follow from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, Any

from schemas.settings import Settings

if TYPE_CHECKING:
    from lake.run import Run


def toml_text(text: str) -> str:
    """A text as TOML."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a command line.

    Attributes:
        flags: e.g. ``("--until",)``.
        help: one line.
        metavar: how the help names the value.
        setting: the setting that the option gives, ``section.key``; None where the command reads the option itself.
        assigns: the value of that setting where the option takes none, as TOML.
        to_toml: the option's text as TOML; raises UserError where it cannot be read.
        more: what else argparse is to know of it.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    setting: str | None = None
    assigns: str | None = None
    to_toml: Callable[[str], str] = toml_text
    more: dict[str, Any] = field(default_factory=dict)


def any_settings(_: Settings) -> None:
    """For jobs that have nothing to check before they start."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """One verb of the product.

    A job runs again when a table or artifact that it reads, updates or uses has another version than when it ran last,
    when a setting of its sections changed, or when what it wrote is gone.

    Attributes:
        name: the verb.
        steps: does the work.
        sections: settings sections whose change makes the job run again.
        reads: tables that it reads.
        updates: tables of other jobs that it reads and changes.
        writes: tables that it writes.
        uses: kinds of artifact that it reads.
        makes: kinds of artifact that it publishes.
        consults: tables and kinds of artifact that it looks at, and whose change is no reason to run again: its own
            earlier results, the record of runs.
        after: jobs that come first though this one reads nothing of theirs.
        nightly: whether the nightly runs it.
        source_files: settings to URLs of input files, for jobs that read such.
        options: of its command line, beside those of every job.
        check: refuses settings that the job cannot run by, before anything starts; raises UserError.
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
    source_files: Callable[[Settings], Sequence[str]] | None = None
    options: tuple[Option, ...] = ()
    check: Callable[[Settings], None] = any_settings

    @property
    def inputs(self) -> tuple[str, ...]:
        """Tables and kinds of artifact whose change makes it run again."""
        return (*self.reads, *self.updates, *self.uses)

    @property
    def may_read(self) -> frozenset[str]:
        """Every table and kind of artifact that it may read."""
        return frozenset((*self.inputs, *self.writes, *self.makes, *self.consults))

    @property
    def may_write(self) -> frozenset[str]:
        """Every table and kind of artifact that it may write."""
        return frozenset((*self.updates, *self.writes, *self.makes))


def in_order(jobs: Iterable[Job]) -> list[Job]:
    """Jobs such that each comes after those whose results it reads; of several that may come next, by name.

    Args:
        jobs: in any order.

    Raises:
        graphlib.CycleError: jobs wait for each other.
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
    """Names of the jobs whose results a job reads."""
    found = {other.name for other in jobs if other.name in job.after}
    for other in jobs:
        made = {*other.writes, *other.makes}
        if made & {*job.inputs} or {*other.updates} & {*job.reads}:
            found.add(other.name)
    return found - {job.name}
