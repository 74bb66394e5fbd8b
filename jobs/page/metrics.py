"""Metrics on the page: the newest beside the previous ones, and the ranker beside its baselines."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from models.ranker.baselines import BASELINES


def latest_two(metrics: DataFrame) -> dict[tuple[str, str], list[float | None]]:
    """The newest and the previous value of every metric. Driver memory: two rows per metric and slice."""
    newest = Window.partitionBy("name", "slice").orderBy(F.col("created_at").desc(), F.col("run_id").desc())
    rows = metrics.withColumn("age", F.row_number().over(newest)).where("age <= 2").orderBy("age").collect()
    values: dict[tuple[str, str], list[float | None]] = {}
    for row in rows:
        values.setdefault((row["name"], row["slice"]), []).append(row["value"])
    return values


def nightly_baselines() -> list[str]:
    """Names of the baselines that every nightly measures."""
    return [name for name, baseline in BASELINES.items() if baseline.nightly]


def title_of(model: str) -> str:
    """The name of a trained model on the page."""
    return BASELINES[model].title if model in BASELINES else "ranker"


def comparison(values: dict[tuple[str, str], list[float | None]], tasks: list[str]) -> list[dict[str, Any]]:
    """Metrics of the ranker and of its baselines, one row per task, slice and metric."""
    table = []
    for task in tasks:
        after = sorted({slice for name, slice in values if name == f"{task}.auc" and slice.startswith("test/after_")})
        for slice in ("test", "test/cold_items", "test/known_items", *after, "valid"):
            for metric in ("auc", "gauc", "uauc"):
                name = f"{task}.{metric}"
                now = values.get((name, slice), [None])
                table.append(
                    {
                        "task": task,
                        "slice": slice,
                        "metric": metric.upper(),
                        "ranker": now[0],
                        "change": difference(now),
                        "baselines": [
                            values.get((f"{name}.{other}", slice), [None])[0] for other in nightly_baselines()
                        ],
                    }
                )
    return table


def difference(values: list[float | None]) -> float | None:
    """The newest value minus the previous one; None if one of them is missing."""
    if len(values) < 2 or values[0] is None or values[1] is None:
        return None
    return values[0] - values[1]


def headline(values: dict[tuple[str, str], list[float | None]], tasks: list[str]) -> list[dict[str, Any]]:
    """The most important numbers, with a word that tells whether they are better than in the previous run."""
    chosen = [(f"{task} AUC, test", (f"{task}.auc", "test"), 1) for task in tasks]
    chosen += [(f"{task} GAUC, test", (f"{task}.gauc", "test"), 1) for task in tasks]
    chosen += [
        ("share of contents that collide", ("codes.collision_rate", "distinct_contents"), -1),
        ("contents found at rank 1", ("codes.hr@1", "distinct_contents"), 1),
        ("reconstruction error", ("codes.reconstruction_error", "distinct_contents"), -1),
    ]
    cards = []
    for title, key, better in chosen:
        found = values.get(key, [None])
        change = difference(found)
        word = "" if change is None else "same" if abs(change) < 1e-9 else "better" if change * better > 0 else "worse"
        cards.append({"title": title, "value": found[0], "change": change, "word": word})
    return cards
