"""A page of made-up nights, rendered without Spark."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np

from jobs.page.figure import Figure
from jobs.page.history import Point, all_numbers, cards, verdict_of
from jobs.page.item_map import map_figure, places_of
from jobs.page.nights import intake_figures, jobs_table, time_figure
from jobs.page.page import render
from jobs.page.quality import (
    alignment_figure,
    breakdown_figures,
    comparison,
    nightly_baselines,
    quality_by_night,
    training_figures,
)
from models.ranker.baselines import BASELINES

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>'\"&\u2028{{ 7 * 7 }}"
NIGHT = datetime(2025, 3, 10, 2, tzinfo=UTC)
TASKS = ["click", "order"]


def history(nights: int = 5, aucs: tuple[float, ...] = ()) -> dict[tuple[str, str], list[Point]]:
    """Metrics of some nights, newest first."""
    generator = np.random.default_rng(0)
    found: dict[tuple[str, str], list[Point]] = {}

    def add(name: str, slice: str, value: float, night: int) -> None:
        at = NIGHT - timedelta(days=night)
        found.setdefault((name, slice), []).append(Point(f"night-{nights - night}", at, value))

    slices = ["test", "test/cold_items", "test/known_items", "valid"]
    slices += [f"test/history_length/{name}" for name in ("0-9", "10-49", "50-199", "200-999", "1000+")]
    slices += [f"test/item_age_days/{name}" for name in ("0-6", "7-27", "28-90", "91-364", "365+")]
    slices += [f"test/category/{name}" for name in ("tea", "rice/noodles", HOSTILE, "other categories")]
    for night in range(nights):
        for task in TASKS:
            for slice in slices:
                add(f"{task}.examples", slice, 1000 + len(slice), night)
                for metric in ("auc", "gauc", "uauc"):
                    value = float(0.8 + generator.normal() / 100)
                    if slice == "test" and metric == "auc" and night < len(aucs):
                        value = aucs[night]
                    add(f"{task}.{metric}", slice, value, night)
                    if slice != "valid":
                        add(f"{task}.{metric}_low", slice, value - 0.01, night)
                        add(f"{task}.{metric}_high", slice, value + 0.01, night)
                    for other in nightly_baselines():
                        add(f"{task}.{metric}.{other}", slice, value - 0.03, night)
        for name, value in (("collision_rate", 0.12), ("hr@1", 0.7), ("reconstruction_error", 0.3)):
            add(f"codes.{name}", "distinct_contents", value + night / 100, night)
        add("codes.collision_rate", "items", 0.3, night)
        for source, rows in (("interactions", 5000.0), ("items", 300.0)):
            add("ingest.rows", source, rows, night)
            add("ingest.rejected.unknown_item", source, 20.0, night)
        add("ingest.duplicates_folded", "all", 7.0, night)
    return found


def items_on_map(count: int = 120) -> list[dict[str, Any]]:
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(6, 16)) * 3
    return [
        {
            "search_embedding": (centres[i % 6] + generator.normal(size=16)).tolist(),
            "title": HOSTILE if i == 0 else f"title {i}",
            "category": HOSTILE if i == 1 else f"category {i % 4}",
            "sid_1": i % 6,
            "sid_2": i % 3,
            "sid": f"{i % 6}-{i % 3}-{i}",
            "items": 1 + i % 2,
        }
        for i in range(count)
    ]


def run_of(job: str, night: int, seconds: float) -> dict[str, Any]:
    at = NIGHT - timedelta(days=night)
    return {
        "run_id": f"night-{5 - night}", "job": job, "started_at": at, "ended_at": at + timedelta(seconds=seconds),
        "input_versions": {"items": str(9 - night)}, "output_versions": {}, "settings_hash": "a", "code_version": "1",
    }  # fmt: skip


def context(nights: int = 5, aucs: tuple[float, ...] = (), map_contents: int = 120) -> dict[str, Any]:
    """Everything that the template names."""
    sample = items_on_map(map_contents)
    metrics = history(nights, aucs)
    measured = [point.run_id for point in metrics["click.auc", "test"]][:2]
    curves = {"qarm": {"points": [{"step": i * 10, "loss": 1 / (i + 1), "auc": 0.7 + i / 100} for i in range(8)]}}
    words = {
        code: {"code": code, "contents": 20, "items": 30, "words": HOSTILE if code == 2 else "red, tea",
               "categories": "tea 80%, rice 20%"}
        for code in range(6)
    }  # fmt: skip
    jobs = jobs_table(
        {name: [run_of(name, 0, 12.5), run_of(name, 1, 11)] for name in ("ingest", "evaluate")}, "night-4", 2
    )
    pair = SimpleNamespace(trigger=HOSTILE, target="b", source="item2item", score=0.5, support=3, judge_score=0.25)
    return {
        "run_id": "night-5",
        "written_at": NIGHT,
        "warehouse": "./warehouse",
        "verdict": verdict_of(metrics, TASKS, ""),
        "publication": {"word": "published", "text": "Readers see this night, night-5.", "reasons": []},
        "metrics": all_numbers(metrics),
        "cards": cards(metrics, TASKS),
        "quality": [
            figure
            for task in TASKS
            for figure in (quality_by_night(metrics, task), *breakdown_figures(metrics, task, measured))
        ],
        "comparison": comparison(metrics, TASKS),
        "baselines": [BASELINES[name] for name in nightly_baselines()],
        "users": [(task, 100.0, 5.0) for task in TASKS],
        "training": training_figures(curves),
        "alignment": alignment_figure({"contrastive": [3.0, 2.0], "answers": [None, 1.0]}),
        "code_figures": [
            Figure(
                name="bucket-sizes", title="semantic IDs by contents", alt="100 of 110", kind="bars",
                data={"labels": ["1", "2"], "series": [{"name": "semantic IDs", "values": [100, 10]}], "log": True,
                      "digits": 0, "x": "contents"},
                columns=["contents", "semantic IDs"], rows=[[1, 100], [2, 10]],
            ),
            Figure(
                name="code-use", title="use of the codes", alt="all used", kind="lines",
                data={"series": [{"name": "sid_1", "points": [[1, 20], [2, 10]], "area": True}], "x": "codes",
                      "digits": 0, "zero": True},
            ),
        ],
        "crowded": [SimpleNamespace(prefix="1-2", titles=[HOSTILE, "x"], contents=12, items=20)],
        "first_codes": [*words.values()],
        "map": map_figure(sample, places_of(sample), words),
        "changes": [["version 3", "2025-03-10 02:00", 3, 0, 0]],
        "moved": [],
        "all_moved": 0,
        "refit": {"codebook": "book-1", "due": False, "new": 3.0, "after": 100,
                  "rows": [["reconstruction error", 0.3, 0.31, 1.2]]},
        "verdicts": None,
        "judge": "",
        "judge_words": "",
        "kept": [pair],
        "rejected": [pair],
        "intake": [("interactions", "5,000 rows")],
        "intake_figures": intake_figures(metrics),
        "times": time_figure(jobs),
        "jobs": [[row["job"], "now", row["changed"], row["seconds"], row["before"], row["core_hours"]] for row in jobs],
        "cores": 2,
    }  # fmt: skip


def page(**of: Any) -> str:
    return render(context(**of))


class Reader(HTMLParser):
    """Reads a page as a browser does: what is a tag, what a text, what a script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags and self.tags[-1][0] == "script" else self.texts).append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
