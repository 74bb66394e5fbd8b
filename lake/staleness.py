"""Staleness: whether a job has to run again, and why."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from lake.declaration import Job
from lake.history import rows_changed
from lake.lake import Lake
from lake.ledger import RunRecord
from lake.run import Run
from schemas.errors import UserError
from schemas.version import VERSION

log = logging.getLogger("qarm")

T = TypeVar("T")

UP_TO_DATE = "up to date"


@dataclass(frozen=True)
class State:
    """Whether a job has to run again.

    Attributes:
        is_stale: whether it has to.
        why: why it has to, or why not.
    """

    is_stale: bool
    why: str


def state_of(lake: Lake, job: Job, last: RunRecord | None) -> State:
    """Whether a job has to run again.

    Args:
        lake: Spark and the warehouse.
        job: the job.
        last: the job's newest successful run; None if there is none.

    Raises:
        UserError: an input file does not exist.
    """
    if last is None:
        return State(True, "never run")
    now = {name: _now(lake, name) for name in {*job.inputs, *last.output_versions}}
    for name in job.inputs:
        now[name] = _unless_only_maintained(lake, name, now[name], last)
    inputs = {name: now[name] or "" for name in job.inputs} | source_versions(lake, job)
    hashed, code = lake.settings.digest(job.sections), VERSION
    if why := stale_reason(last, {}, now, settings_hash=hashed, code_version=code):
        return State(True, why)
    if why := stale_reason(last, inputs, now, settings_hash=hashed, code_version=code):
        standing = job.stands(lake, last) if job.stands is not None and lake.goes_on else None
        return State(True, why) if standing is None else State(False, f"stands: {standing}")
    return State(False, UP_TO_DATE)


def last_alike(run: Run) -> RunRecord | str:
    """The job's newest successful run, if this run may go on from it: it had the same settings and the same code.

    Returns:
        The record of that run; else why this run does all of its work, empty if the job never ran.
    """
    if not run.lake.goes_on:
        return "nothing of earlier nights is to be taken over"
    last = run.lake.ledger.last_done().get(run.job.name)
    if last is None:
        return ""
    if (last.settings_hash, last.code_version) != (run.settings.digest(run.job.sections), VERSION):
        return "settings or code changed"
    return last


def unless_told(found: T | str, instead: str) -> T | None:
    """What a later night goes on from; None if a text tells why there is nothing, which goes to the log.

    Args:
        found: what was found, or the reason; an empty one, of a job that never ran, is not logged.
        instead: what the job does then, with its name.
    """
    if not isinstance(found, str):
        return found
    if found:
        log.info("%s: %s", instead, found)
    return None


def _unless_only_maintained(lake: Lake, name: str, version: str | None, last: RunRecord) -> str | None:
    """The version of a table that a run knew, if since then only compaction and the like made versions."""
    known = [v for v in (last.input_versions.get(name), last.output_versions.get(name)) if v and v.isdigit()]
    if version is None or not version.isdigit() or version in known or not known:
        return version
    newest = max(known, key=int)
    return newest if not rows_changed(lake.warehouse, name, int(newest)) else version


def _now(lake: Lake, name: str) -> str | None:
    version = lake.warehouse.version(name)
    if version is not None:
        return str(version)
    artifact = lake.artifacts.latest(name)
    return artifact.version if artifact else None


def unread_inputs(run: Run) -> dict[str, str]:
    """Versions of the declared inputs that a run did not read, "" for what does not exist, by name.

    Without them, a job whose settings leave an input unread would be stale every night.
    """
    return {name: _now(run.lake, name) or "" for name in {*run.job.inputs} - {*run.inputs}}


def source_versions(lake: Lake, job: Job) -> dict[str, str]:
    """Fingerprints of a job's input files, from their paths, sizes and times, by URL.

    Raises:
        UserError: an input file does not exist.
    """
    fingerprints = {}
    for url in job.source_files(lake.settings) if job.source_files else ():
        if not lake.files.exists(url):
            raise UserError(f"{url}: no such file or folder")
        text = "\n".join(f"{file.path} {file.size} {file.modified}" for file in lake.files.walk(url))
        fingerprints[lake.files.qualify(url)] = hashlib.sha256(text.encode()).hexdigest()[:16]
    return fingerprints


def stale_reason(
    last: RunRecord | None,
    inputs: Mapping[str, str],
    outputs: Mapping[str, str | None],
    *,
    settings_hash: str,
    code_version: str,
) -> str | None:
    """Why a job is stale; None if it is up to date.

    Args:
        last: the job's newest successful run; None if there is none.
        inputs: current versions of the job's inputs, by name.
        outputs: current versions of the outputs of ``last``, by name; None for an output that no longer exists.
        settings_hash: hash of the settings that the job depends on.
        code_version: version of qarm.
    """
    if last is None:
        return "never run"
    if last.code_version != code_version:
        return f"code changed from {last.code_version} to {code_version}"
    if last.settings_hash != settings_hash:
        return "settings changed"
    for name, version in inputs.items():
        # If a job updates a table that it reads, the version that it wrote itself is no change.
        if version not in (last.input_versions.get(name), last.output_versions.get(name)):
            return f"{name} changed"
    for name, version in last.output_versions.items():
        if outputs.get(name) is None:
            return f"{name} is gone"
        # Artifacts are compared: one may have been left by a run that failed after it had published it.
        if not version.isdigit() and outputs[name] != version:
            return f"{name} is not the one this job made last"
        if version.isdigit() and int(outputs[name] or 0) < int(version):
            return f"{name} was removed and made anew"
    return None
