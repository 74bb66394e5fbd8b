"""Chooses the jobs of a nightly, and foresees what they would do."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lake.declaration import Job
from lake.history import has_version
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.staleness import UP_TO_DATE, State, state_of
from lake.warehouse import Warehouse
from schemas.errors import UserError


@dataclass(frozen=True)
class Choice:
    """The jobs of a nightly.

    Attributes:
        jobs: the jobs that run if they are stale, in order.
        wanted: names of the jobs that run in any case, each with the option that says so.
    """

    jobs: tuple[Job, ...]
    wanted: Mapping[str, str]


def chosen(jobs: Sequence[Job], options: argparse.Namespace) -> Choice:
    """The jobs that the options ``--from``, ``--only``, ``--until``, ``--force`` and ``--full-refresh`` choose.

    Args:
        jobs: all jobs of the nightly, in order.
        options: the command line.

    Raises:
        UserError: an option names no job of the nightly, or the options contradict each other.
    """
    names = [job.name for job in jobs]
    for flag, name in (("--from", options.from_job), ("--only", options.only), ("--until", options.until)):
        if name is not None and name not in names:
            raise UserError(f"{flag} {name}: no such job; the jobs are {', '.join(names)}")
    if options.only is not None and (options.from_job or options.until):
        raise UserError(f"--only {options.only} is one job; leave out --from and --until")
    first = names.index(options.from_job or options.only or names[0])
    last = names.index(options.until or options.only or names[-1])
    if first > last:
        raise UserError(
            f"--from {options.from_job} comes after --until {options.until}; the order is {', '.join(names)}"
        )
    taken = tuple(jobs[first : last + 1])
    for flag, asked in (("--full-refresh", options.full_refresh), ("--force", options.force)):
        if asked:
            return Choice(taken, {job.name: flag for job in taken})
    flag = "--only" if options.only else "--from"
    return Choice(taken, {name: flag for name in (options.from_job, options.only) if name is not None})


def whether_to_run(lake: Lake, job: Job, last: RunRecord | None, wanted: str | None) -> State:
    """Whether the nightly runs a job, and why.

    Args:
        lake: Spark and the warehouse.
        job: the job.
        last: the job's newest successful run; None if there is none.
        wanted: the option that asks for the job in any case; None if none does.
    """
    names_no_files = job.source_files is not None and not job.source_files(lake.settings)
    if names_no_files and last is not None:
        return State(False, UP_TO_DATE)
    return State(True, wanted) if wanted else state_of(lake, job, last)


@dataclass(frozen=True)
class Foreseen:
    """What the nightly would do with a job.

    Attributes:
        job: name of the job.
        runs: whether it would run.
        why: why it would run, or why not.
        rows: rows of the tables that it reads; None if it reads none that exists.
        new: how many of them came since it ran last, all of them if it never ran or does all of its work again; rows
            that changed in place are not counted.
        minutes: how long it will take, as it took before: the median of its last runs, or its longest run if it does
            all of its work again; None if it never ran, or does not run.
    """

    job: str
    runs: bool
    why: str
    rows: int | None
    new: int | None
    minutes: float | None


def foreseen(lake: Lake, choice: Choice) -> list[Foreseen]:
    """What each job would do if the nightly started now.

    A job behind one that runs is taken to run too if it reads what the other writes; in the night itself it does not if
    nothing changed there.

    Args:
        lake: Spark and the warehouse.
        choice: the jobs.
    """
    last, seconds = lake.ledger.last_done(), lake.ledger.usual_seconds(longest=not lake.goes_on)
    sizes = Sizes(lake.warehouse)
    changed_by: dict[str, str] = {}
    plan = []
    for job in choice.jobs:
        ran = last.get(job.name)
        state = whether_to_run(lake, job, ran, choice.wanted.get(job.name))
        before = sorted({changed_by[name] for name in job.inputs if name in changed_by})
        if not state.is_stale and before and (job.stands is None or not lake.goes_on):
            state = State(True, f"after {', '.join(before)}")
        if state.is_stale:
            changed_by |= dict.fromkeys((*job.updates, *job.writes, *job.makes), job.name)
        then = ran.input_versions if ran is not None and lake.goes_on else {}
        now = {name: count for name in (*job.reads, *job.updates) if (count := sizes.of(name)) is not None}
        new = {name: max(0, count - (sizes.of(name, then.get(name, "")) or 0)) for name, count in now.items()}
        spent = seconds.get(job.name)
        plan.append(
            Foreseen(
                job=job.name,
                runs=state.is_stale,
                why=state.why,
                rows=sum(now.values()) if now else None,
                new=sum(new.values()) if now and state.is_stale else None,
                minutes=spent / 60 if state.is_stale and spent is not None else None,
            )
        )
    return plan


class Sizes:
    """Numbers of rows of tables, each counted once; Delta knows most of them without reading the rows.

    Args:
        warehouse: the tables.
    """

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self._counted: dict[tuple[str, str | None], int | None] = {}

    def of(self, table: str, version: str | None = None) -> int | None:
        """Rows of a table.

        Args:
            table: name of the table.
            version: version of the table, as the record of a run holds it; None for the newest.

        Returns:
            The number; None if there is no such table or version.
        """
        if (table, version) not in self._counted:
            self._counted[table, version] = self._count(table, version)
        return self._counted[table, version]

    def _count(self, table: str, version: str | None) -> int | None:
        if not self._warehouse.exists(table):
            return None
        if version is None:
            return self._warehouse.read(table).count()
        if not version.isdigit() or not has_version(self._warehouse, table, int(version)):
            return None
        return self._warehouse.read(table, int(version)).count()


def as_text(plan: Sequence[Foreseen]) -> str:
    """The plan as a table."""
    lines = [f"{'job':<22}{'rows read':>14}{'new rows':>14}{'minutes':>9}  why"]
    for row in plan:
        rows, new = ("-" if count is None else f"{count:,}" for count in (row.rows, row.new))
        minutes = "-" if row.minutes is None else f"{row.minutes:.1f}"
        lines.append(f"{row.job:<22}{rows:>14}{new:>14}{minutes:>9}  {row.why}")
    known = [row.minutes for row in plan if row.minutes is not None]
    unknown = [row.job for row in plan if row.runs and row.minutes is None]
    if plan and len(unknown) == len(plan):
        lines.append(f"{'all':<22}{'':>28}{'-':>9}  no job ran here yet, so it is not known how long they take")
        return "\n".join(lines)
    tail = f", and those of {', '.join(unknown)}, which never ran here" if unknown else ""
    lines.append(f"{'all':<22}{'':>28}{sum(known):>9.1f}  minutes, as jobs took before{tail}")
    return "\n".join(lines)
