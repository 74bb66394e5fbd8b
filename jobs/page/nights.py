"""Runs and nights on the page: what ran, what changed since, and which night readers see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.intake.summary import intake_table
from lake.published import Night


def what_changed(runs: DataFrame) -> list[dict[str, Any]]:
    """Each job's newest successful run, with its duration and the changes since the previous successful run."""
    newest = Window.partitionBy("job").orderBy(F.col("ended_at").desc())
    rows = (
        runs.where("status = 'done'")
        .withColumn("age", F.row_number().over(newest))
        .where("age <= 2")
        .orderBy("age")
        .collect()
    )
    jobs: dict[str, list[Any]] = {}
    for row in rows:
        jobs.setdefault(row["job"], []).append(row)
    table = []
    for job, found in jobs.items():
        now, before = found[0], found[1] if len(found) > 1 else None
        table.append(
            {
                "job": job,
                "ended_at": now["ended_at"],
                "seconds": (now["ended_at"] - now["started_at"]).total_seconds(),
                "changed": "first run" if before is None else ", ".join(_differences(now, before)) or "nothing",
            }
        )
    return sorted(table, key=lambda row: row["ended_at"])


def newest_intake(runs: DataFrame) -> list[tuple[str, str]]:
    """What the newest successful run of ingest took and rejected, see :func:`jobs.intake.summary.intake_table`."""
    newest = runs.where("job = 'ingest' AND status = 'done'").orderBy(F.col("ended_at").desc()).limit(1).collect()
    return intake_table(newest[0]["metrics"]) if newest else []


def _differences(now: Any, before: Any) -> list[str]:
    seen = (before["input_versions"], before["output_versions"])  # a version that the job wrote itself is no change
    names = [n for n, v in sorted(now["input_versions"].items()) if all(versions.get(n) != v for versions in seen)]
    settings = ["settings"] if now["settings_hash"] != before["settings_hash"] else []
    code = (
        [f"code {before['code_version']} -> {now['code_version']}"]
        if now["code_version"] != before["code_version"]
        else []
    )
    return [*settings, *code, *(name.rsplit("/", 1)[-1] for name in names)]


def publication(nights: Sequence[Night], current: Night | None) -> dict[str, Any]:
    """Whether readers see the newest night, in words, and why not.

    Args:
        nights: all nights that were judged, oldest first.
        current: the night that readers see.
    """
    newest = nights[-1]
    seen = "no night yet" if current is None else f"night {current.run_id}"
    if newest == current:
        return {"word": "better", "text": f"Published: readers see this night, {newest.run_id}.", "reasons": []}
    what, _, reasons = newest.verdict.partition(": ")
    return {
        "word": "worse",
        "text": f"{what.capitalize()}: readers do not see the newest night, {newest.run_id}; they see {seen}.",
        "reasons": reasons.split("; ") if reasons else [],
    }
