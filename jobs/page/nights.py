"""Runs and nights on the page: which night readers see, what came in, what ran, how long it took and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from jobs.intake.summary import FOLDED, intake_of, intake_table
from jobs.page.figure import Figure
from jobs.page.history import History, value_in
from jobs.page.quality import label_of, nights_of
from lake.frames import collect_utc
from lake.published import Night


def last_runs(runs: DataFrame) -> dict[str, list[Any]]:
    """The newest two successful runs of each job, newest first. Driver memory: two rows per job."""
    newest = Window.partitionBy("job").orderBy(F.col("ended_at").desc())
    ranked = runs.where("status = 'done'").withColumn("age", F.row_number().over(newest))
    jobs: dict[str, list[Any]] = {}
    for row in collect_utc(ranked.where("age <= 2").orderBy("age")):
        jobs.setdefault(row["job"], []).append(row)
    return jobs


def jobs_table(jobs: Mapping[str, Sequence[Any]], night_before: str, cores: int) -> list[dict[str, Any]]:
    """Each job's newest run: time, core-hours, and what had changed since the run before, in the order of their ends.

    Args:
        jobs: the newest two runs of each job, see :func:`last_runs`.
        night_before: run ID of the night before the newest one; a job that did not run since cost nothing.
        cores: cores that Spark has in this run.
    """
    table = []
    for job, found in jobs.items():
        now, before = found[0], found[1] if len(found) > 1 else None
        ran = now["run_id"] > night_before
        seconds = _seconds(now)
        table.append(
            {
                "job": job,
                "ended_at": now["ended_at"],
                "ran": ran,
                "seconds": seconds,
                "before": None if before is None else _seconds(before),
                "core_hours": seconds * cores / 3600 if ran else 0.0,
                "changed": "first run" if before is None else ", ".join(_differences(now, before)) or "nothing",
            }
        )
    return sorted(table, key=lambda row: row["ended_at"])


def time_figure(table: Sequence[Mapping[str, Any]]) -> Figure:
    """How long each job took in its last run and in the one before."""
    longest = max(table, key=lambda row: row["seconds"])
    series = [
        {"name": "last run", "values": [row["seconds"] for row in table]},
        {"name": "run before", "values": [row["before"] for row in table]},
    ]
    return Figure(
        name="times",
        title="time of each job, seconds",
        alt=f"Seconds of each job; the longest is {longest['job']} with {longest['seconds']:.0f} seconds",
        kind="bars",
        data={"labels": [row["job"] for row in table], "series": series, "across": True, "digits": 1},
    )


def _seconds(row: Any) -> float:
    return float((row["ended_at"] - row["started_at"]).total_seconds())


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


def newest_intake(jobs: Mapping[str, Sequence[Any]]) -> list[tuple[str, str]]:
    """What the newest successful run of ingest took and rejected, see :func:`jobs.intake.summary.intake_table`."""
    return intake_table(jobs["ingest"][0]["metrics"]) if "ingest" in jobs else []


def intake_figures(history: History) -> list[Figure]:
    """Rows taken, folded and rejected by night, of the log and of the catalogue."""
    figures = []
    for source in FOLDED:
        nights = nights_of(history, [("ingest.rows", source)])
        if not nights:
            continue
        parts = [intake_of(_numbers_of(history, night.run_id), source) for night in nights]
        reasons = sorted({reason for part in parts for reason in part.rejected})
        rows = [
            [label_of(night), part.rows, part.taken, part.folded, *(part.rejected.get(one, 0.0) for one in reasons)]
            for night, part in zip(nights, parts, strict=True)
        ]
        titles = ["taken", "folded as duplicates", *(f"rejected: {one.replace('_', ' ')}" for one in reasons)]
        series = [{"name": title, "values": [row[i] for row in rows]} for i, title in enumerate(titles, 2)]
        told = ", ".join(f"{row_value:,.0f} {title}" for row_value, title in zip(rows[-1][2:], titles, strict=True))
        figures.append(
            Figure(
                name=f"rows-{source}",
                title=f"rows of {source}",
                alt=f"Rows of {source} by night; in the newest one {told}",
                kind="bars",
                data={"labels": [row[0] for row in rows], "series": series, "stacked": True, "digits": 0},
                columns=["night (UTC)", "rows", *titles],
                rows=rows,
                note=f"Newest night: {told}.",
            )
        )
    return figures


def _numbers_of(history: History, run_id: str) -> dict[str, float]:
    """What a run measured, by ``name`` or ``name/slice``."""
    found = {key: value_in(history, key, run_id) for key in history}
    return {n if slice == "all" else f"{n}/{slice}": v for (n, slice), v in found.items() if v is not None}


def publication(nights: Sequence[Night], current: Night | None) -> dict[str, Any]:
    """Whether readers see the newest night, in words, and why not.

    Args:
        nights: all nights that were judged, oldest first.
        current: the night that readers see.
    """
    newest = nights[-1]
    seen = "no night yet" if current is None else f"night {current.run_id}"
    if newest == current:
        return {"word": "published", "text": f"Readers see this night, {newest.run_id}.", "reasons": []}
    what, _, reasons = newest.verdict.partition(": ")
    return {
        "word": what,
        "text": f"Readers do not see the newest night, {newest.run_id}; they see {seen}.",
        "reasons": reasons.split("; ") if reasons else [],
    }
