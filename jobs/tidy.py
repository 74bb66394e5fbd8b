"""Compacts tables, and removes old files, artifacts and leftovers that no night which readers may see needs."""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

from lake.command import Command, main
from lake.execution import new_run_id
from lake.hadoop import TEMPORARY
from lake.lake import Lake
from lake.night_lock import FOLDER as SIGNS
from lake.night_lock import NightLock
from lake.staging import FOLDER as STAGED
from lake.upkeep import compact, files_of, remove_leftovers, vacuum
from lake.views import FOLDERS as SHOWN
from schemas.sections import Trigger
from schemas.tables import all_contracts

log = logging.getLogger("qarm")

LEFTOVERS = (STAGED, "_training", SIGNS)

SLACK_DAYS = 7
"""Days after which a job that is due has run."""

REWRITTEN = ("ranker_examples", "predictions", "candidate_scores", "item_pairs")
"""Tables that a job writes anew as a whole, in files of a good size: compaction would only double them."""


def needed_versions(lake: Lake) -> dict[str, set[str]]:
    """Versions of tables and artifacts that have to stay: of nights to keep, and of what the jobs read last.

    A job that stands from night to night goes on from what it read up to its trigger's days ago.
    """
    needed: dict[str, set[str]] = defaultdict(set)
    for night in lake.published.to_keep(lake.settings.nightly.nights_kept):
        for name, version in night.versions.items():
            needed[name].add(version)
    days = max(trigger.days for trigger in vars(lake.settings.increments).values() if isinstance(trigger, Trigger))
    since = datetime.now(UTC) - timedelta(days=days + SLACK_DAYS)
    for record in lake.ledger.last_done().values():
        if record.ended_at.astimezone(UTC) < since:  # of a job that is no longer asked for
            continue
        for name, version in {*record.input_versions.items(), *record.output_versions.items()}:
            needed[name].add(version)
    return needed


def command(lake: Lake, _: argparse.Namespace) -> dict[str, Any]:
    """Tidies the warehouse; no nightly runs meanwhile.

    Raises:
        UserError: a nightly is at work on the warehouse.
    """
    settings, metrics = lake.settings.nightly, dict[str, float]()
    run_id = new_run_id()
    with NightLock(lake.warehouse, run_id, settings):
        needed = needed_versions(lake)
        for contract in all_contracts(lake.settings.ranking.task_names):
            name = contract.name
            if not lake.warehouse.exists(name):
                continue
            before = files_of(lake.warehouse, name)
            if name not in REWRITTEN:
                compact(lake.warehouse, contract)
            hours = vacuum(lake.warehouse, contract, [int(v) for v in needed[name] if v.isdigit()])
            after = files_of(lake.warehouse, name)
            kept = (
                "all old files kept, as a night or a job needs some from before the table's retention; if this goes on,"
                " raise its property delta.deletedFileRetentionDuration"
                if hours is None
                else f"old files kept for {hours} h"
            )
            level = logging.INFO if hours is not None else logging.WARNING
            log.log(level, "tidy: %s: %d files before, %d after; %s", name, before.count, after.count, kept)
            metrics |= {
                f"tidy.files_before/{name}": float(before.count),
                f"tidy.files_after/{name}": float(after.count),
            }
        for kind in lake.artifacts.kinds():
            removed = lake.artifacts.prune(kind, settings.artifacts_kept, needed[kind])
            metrics[f"tidy.artifacts_removed/{kind}"] = float(len(removed))
        for folder in LEFTOVERS:
            old = remove_leftovers(lake.files, f"{lake.warehouse.root}/{folder}", settings.leftovers_days)
            metrics[f"tidy.leftovers_removed/{folder}"] = float(len(old))
        metrics["tidy.leftovers_removed/."] = float(remove_temporary(lake, settings.leftovers_days))
    return {"job": "tidy", "status": "done", "run_id": run_id, "outputs": {}, "metrics": metrics}


def remove_temporary(lake: Lake, days: float) -> int:
    """Removes what writers of small files left that were killed; returns the number of files."""
    of_kinds = (f"{lake.artifacts.root}/{kind}" for kind in lake.artifacts.kinds())
    folders = [lake.warehouse.root, *(f"{lake.warehouse.root}/{folder}" for folder in SHOWN), *of_kinds]
    return sum(len(remove_leftovers(lake.files, folder, days, named=TEMPORARY)) for folder in folders)


COMMAND = Command(name="tidy", description=__doc__ or "", run=command)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
