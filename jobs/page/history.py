"""The metrics of the last nights, and what is read from them: changes, the verdict, and the cards on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from lake.frames import collect_utc
from models.ranker.intervals import SHARE


@dataclass(frozen=True)
class Point:
    """What one run measured.

    Attributes:
        run_id: the run.
        at: when the job ended, in UTC.
        value: the value; None if it was undefined.
    """

    run_id: str
    at: datetime
    value: float | None


PERCENT = f"{SHARE * 100:g} %"
"""How much of the draws an interval holds."""

LEAST_CHANGE = 5e-5
"""A smaller change cannot be seen in four digits."""

History = Mapping[tuple[str, str], Sequence[Point]]
"""The newest values of each metric, by name and slice, newest first."""


def history_of(metrics: DataFrame, nights: int) -> dict[tuple[str, str], list[Point]]:
    """The newest values of every metric. Driver memory: ``nights`` rows per metric and slice."""
    newest = Window.partitionBy("name", "slice").orderBy(F.col("created_at").desc(), F.col("run_id").desc())
    rows = metrics.withColumn("age", F.row_number().over(newest)).where(F.col("age") <= nights).orderBy("age")
    found: dict[tuple[str, str], list[Point]] = {}
    for row in collect_utc(rows):
        found.setdefault((row["name"], row["slice"]), []).append(Point(row["run_id"], row["created_at"], row["value"]))
    return found


def value_of(history: History, name: str, slice: str, age: int = 0) -> float | None:
    """The value of a metric in its newest run, or in an earlier one; None if there is none."""
    points = history.get((name, slice), ())
    return points[age].value if len(points) > age else None


def value_in(history: History, key: tuple[str, str], run_id: str) -> float | None:
    """The value of a metric, by name and slice, in a run; None if it did not measure it."""
    return next((point.value for point in history.get(key, ()) if point.run_id == run_id), None)


def bounds_of(history: History, name: str, slice: str) -> tuple[float | None, float | None]:
    """Low and high end of the interval of a metric's newest value; None where its run measured no interval."""
    run_id = next((point.run_id for point in history.get((name, slice), ())), "")
    low, high = (value_in(history, (f"{name}_{end}", slice), run_id) for end in ("low", "high"))
    return low, high


def change_of(history: History, name: str, slice: str) -> float | None:
    """The newest value minus the one before; None if one of them is missing."""
    now, before = value_of(history, name, slice), value_of(history, name, slice, 1)
    return None if now is None or before is None else now - before


@dataclass(frozen=True)
class Verdict:
    """Whether the ranker is better, the same or worse than before.

    Attributes:
        word: ``better``, ``same`` or ``worse``; ``first`` if there is nothing to compare with.
        reasons: a sentence for each task.
    """

    word: str
    reasons: Sequence[str]


def verdict_of(history: History, tasks: Sequence[str], before: str) -> Verdict:
    """Compares each task's AUC on the test examples with the one before, by the interval of the newer one.

    Args:
        history: the metrics.
        tasks: names of the tasks.
        before: run ID of the night before the newest one; empty if there is none. A night that was killed has several
            run IDs, all of them later ones.

    Returns:
        ``worse`` if a task is worse, otherwise ``better`` if one is better.
    """
    found = [_of_task(history, task) for task in tasks]
    words = [word for word, _ in found]
    chosen = next((word for word in ("worse", "better", "same") if word in words), "first")
    points = history.get((f"{tasks[0]}.auc", "test"), ())
    if points and points[0].run_id <= before and chosen != "first":
        return Verdict("same", [f"Nothing changed that the ranker depends on, so night {points[0].run_id} stands."])
    return Verdict(chosen, [sentence for _, sentence in found])


def _of_task(history: History, task: str) -> tuple[str, str]:
    name = f"{task}.auc"
    now, before = value_of(history, name, "test"), value_of(history, name, "test", 1)
    low, high = bounds_of(history, name, "test")
    if now is None:
        return "first", f"The AUC of {task} cannot be measured: the test examples have one class only."
    bounds = "" if low is None or high is None else f" ({PERCENT} interval {low:.4f} to {high:.4f})"
    told = f"The test AUC of {task} is {now:.4f}{bounds}"
    if before is None:
        return "first", f"{told}."
    if abs(now - before) < LEAST_CHANGE:
        return "same", f"{told}, as before."
    if low is None or high is None:
        return "same", f"{told}, after {before:.4f} before; there are too few users for an interval."
    if before < low:
        return "better", f"{told}; the {before:.4f} of before lies below the interval."
    if before > high:
        return "worse", f"{told}; the {before:.4f} of before lies above the interval."
    return "same", f"{told}; the {before:.4f} of before lies in the interval, so the difference may be chance."


def cards(history: History, tasks: Sequence[str]) -> list[dict[str, Any]]:
    """The numbers on top of the page, each with its change and its last values, oldest first."""
    chosen = [
        (f"{task} {metric.upper()}", f"{task}.{metric}", "test", 1) for task in tasks for metric in ("auc", "gauc")
    ]
    chosen += [
        ("contents that share a semantic ID", "codes.collision_rate", "distinct_contents", -1),
        ("contents found again by their codes", "codes.hr@1", "distinct_contents", 1),
        ("reconstruction error", "codes.reconstruction_error", "distinct_contents", -1),
    ]
    made = []
    for title, name, slice, better in chosen:
        values = [point.value for point in reversed(history.get((name, slice), ())) if point.value is not None]
        low, high = bounds_of(history, name, slice)
        made.append(
            {
                "title": title,
                "value": value_of(history, name, slice),
                "low": low,
                "high": high,
                "change": change_of(history, name, slice),
                "word": _word(history, (name, slice), better, (low, high)),
                "line": sparkline(values),
            }
        )
    return made


def _word(history: History, key: tuple[str, str], better: int, bounds: tuple[float | None, float | None]) -> str:
    """What the change of a number is: better, worse, same, or chance if its interval holds the value of before.

    It is empty if there is no change to speak of.
    """
    change, before = change_of(history, *key), value_of(history, *key, age=1)
    if change is None or before is None:
        return ""
    low, high = bounds
    if abs(change) < LEAST_CHANGE:
        return "same"
    if low is not None and high is not None and low <= before <= high:
        return "chance"
    return "better" if change * better > 0 else "worse"


def sparkline(values: Sequence[float], width: float = 100.0, height: float = 24.0) -> str:
    """Values as the points of an SVG polyline; empty for fewer than two values."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    scale = (height - 4) / (high - low) if high - low > LEAST_CHANGE else 0.0
    step = width / (len(values) - 1)
    return " ".join(f"{i * step:.1f},{height - 2 - (value - low) * scale:.1f}" for i, value in enumerate(values))


def all_numbers(history: History) -> list[tuple[str, str, float | None, float | None]]:
    """Name, slice, newest value and change of every metric, by name."""
    return [(*key, points[0].value, change_of(history, *key)) for key, points in sorted(history.items())]
