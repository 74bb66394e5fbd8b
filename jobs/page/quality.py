"""The ranker on the page: its metrics by night and by slice, its baselines, and its training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.evaluation.slices import BREAKDOWNS
from jobs.page.figure import Figure
from jobs.page.history import PERCENT, History, Point, change_of, value_in, value_of
from models.ranker.baselines import BASELINES
from models.ranker.intervals import DRAWS

METRICS = ("auc", "gauc", "uauc")

FEWEST_EXAMPLES = 30
"""A slice with fewer examples says nothing and is not drawn."""


def nightly_baselines() -> list[str]:
    """Names of the baselines that every nightly measures."""
    return [name for name, baseline in BASELINES.items() if baseline.nightly]


def title_of(model: str) -> str:
    """The name of a trained model on the page."""
    return BASELINES[model].title if model in BASELINES else "ranker"


def nights_of(history: History, names: Sequence[tuple[str, str]]) -> list[Point]:
    """One point for each night in which one of the metrics was measured, oldest first."""
    points = {point.run_id: point for key in names for point in history.get(key, ())}
    return sorted(points.values(), key=lambda point: point.at)


def label_of(night: Point) -> str:
    """The label of a night on an axis."""
    return f"{night.at:%d %b %H:%M}"


def by_night(history: History, names: Mapping[str, tuple[str, str]]) -> tuple[list[str], list[dict[str, Any]]]:
    """Labels of the nights, and for each metric its values with their intervals, None where it was not measured.

    Args:
        history: the metrics.
        names: names and slices of the metrics by their titles.
    """
    nights = nights_of(history, [*names.values()])
    series = []
    for title, (name, slice) in names.items():
        found: dict[str, Any] = {"name": title}
        for end, suffix in (("values", ""), ("low", "_low"), ("high", "_high")):
            found[end] = [value_in(history, (f"{name}{suffix}", slice), night.run_id) for night in nights]
        series.append(found)
    return [label_of(night) for night in nights], series


def quality_by_night(history: History, task: str) -> Figure:
    """AUC, GAUC and UAUC of a task by night."""
    labels, series = by_night(history, {metric.upper(): (f"{task}.{metric}", "test") for metric in METRICS})
    rows = [
        [label, *(cell for one in series for cell in (one["values"][i], one["low"][i], one["high"][i]))]
        for i, label in enumerate(labels)
    ]
    newest = ", ".join(f"{one['name']} {_told(one['values'][-1])}" for one in series) if labels else "nothing yet"
    return Figure(
        name=f"nights-{task}",
        title=f"{task}: quality by night",
        alt=f"AUC, GAUC and UAUC of {task} on the test examples in the last {len(labels)} nights; newest: {newest}",
        kind="nights",
        data={"labels": labels, "series": series, "digits": 4},
        columns=["night (UTC)", *(name for m in METRICS for name in (m.upper(), "low", "high"))],
        rows=rows,
        note=f"Bars are {PERCENT} intervals, from {DRAWS:,} bootstrap draws over users.",
    )


def breakdown_figures(history: History, task: str, nights: Sequence[str]) -> list[Figure]:
    """The AUC of a task by length of history, age of item and category: tonight beside the night before.

    Args:
        history: the metrics.
        task: the task.
        nights: run IDs of the newest night that measured the ranker and of the one before.
    """
    return [
        figure for group, words in BREAKDOWNS.items() if (figure := _breakdown(history, task, nights, (group, words)))
    ]


def _breakdown(history: History, task: str, nights: Sequence[str], group: tuple[str, str]) -> Figure | None:
    name, words = group
    prefix = f"test/{name}/"
    slices = [
        slice
        for (metric, slice), points in history.items()
        if metric == f"{task}.auc"
        and slice.startswith(prefix)
        and points[0].run_id == nights[0]
        and (value_of(history, f"{task}.examples", slice) or 0) >= FEWEST_EXAMPLES
    ]
    if name == "category":
        slices.sort(key=lambda slice: -(value_of(history, f"{task}.examples", slice) or 0))
    else:
        slices.sort(key=lambda slice: int(slice.removeprefix(prefix).split("-")[0].rstrip("+")))
    if not slices:
        return None
    series = []
    for title, night in zip(("tonight", "the night before"), nights, strict=False):
        one: dict[str, Any] = {"name": title}
        for end, suffix in (("values", ""), ("low", "_low"), ("high", "_high")):
            one[end] = [value_in(history, (f"{task}.auc{suffix}", slice), night) for slice in slices]
        if any(value is not None for value in one["values"]):
            series.append(one)
    labels = [slice.removeprefix(prefix) for slice in slices]
    measured = [*METRICS[1:]]
    rows = [
        [
            label,
            value_of(history, f"{task}.examples", slice),
            *(series[0][end][i] for end in ("values", "low", "high")),
            series[1]["values"][i] if len(series) > 1 else None,
            *(value_of(history, f"{task}.{metric}", slice) for metric in measured),
        ]
        for i, (label, slice) in enumerate(zip(labels, slices, strict=True))
    ]
    told = "; ".join(f"{label}: {_told(value)}" for label, value in zip(labels, series[0]["values"], strict=True))
    return Figure(
        name=f"{name}-{task}",
        title=f"{task}: AUC {words}",
        alt=f"AUC of {task} {words}. {told}",
        kind="slices",
        data={"labels": labels, "series": series, "digits": 4},
        columns=["slice", "examples", "AUC", "low", "high", "night before", *(m.upper() for m in measured)],
        rows=rows,
    )


def _told(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.4f}"


def comparison(history: History, tasks: Sequence[str]) -> list[list[Any]]:
    """Metrics of the ranker and of its baselines: task, slice, metric, ranker, change, one value per baseline."""
    table = []
    for task in tasks:
        after = sorted({slice for name, slice in history if name == f"{task}.auc" and slice.startswith("test/after_")})
        for slice in ("test", "test/cold_items", "test/known_items", *after, "valid"):
            for metric in METRICS:
                name = f"{task}.{metric}"
                baselines = [value_of(history, f"{name}.{other}", slice) for other in nightly_baselines()]
                table.append(
                    [task, slice, metric.upper(), value_of(history, name, slice), change_of(history, name, slice),
                     *baselines]
                )  # fmt: skip
    return table


def training_figures(curves: Mapping[str, Any]) -> list[Figure]:
    """Training loss and validation AUC of every trained model by step.

    Args:
        curves: cards of the trainings by model, each with ``points`` of ``step`` and, where they were measured,
            ``loss`` and ``auc``. An earlier ranker may have NaN where nothing was.
    """
    figures = []
    for key, title in (("loss", "training loss by step"), ("auc", "validation AUC by step")):
        series = [{"name": title_of(name), "points": _measured(curve["points"], key)} for name, curve in curves.items()]
        ends = ", ".join(f"{one['name']} {one['points'][-1][1]:.4f}" for one in series if one["points"])
        if not ends:
            continue
        figures.append(
            Figure(
                name=f"training-{key}",
                title=title,
                alt=f"The {title}; at the end: {ends}",
                kind="lines",
                data={"series": series, "x": "step", "digits": 4},
                columns=["model", "step", key],
                rows=[[one["name"], step, value] for one in series for step, value in one["points"]],
            )
        )
    return figures


def _measured(points: Sequence[Mapping[str, float]], key: str) -> list[list[float]]:
    return [[point["step"], point[key]] for point in points if math.isfinite(point.get(key, math.nan))]


def alignment_figure(losses: Mapping[str, Sequence[float | None]]) -> Figure:
    """The losses of an alignment by step: ``contrastive``, and ``answers`` in nats per token."""
    series = [
        {"name": name, "points": [[step, value] for step, value in enumerate(losses[key], 1) if value is not None]}
        for key, name in (("contrastive", "contrastive loss"), ("answers", "loss of the answers, nats per token"))
    ]
    series = [one for one in series if one["points"]]
    ends = [[one["name"], one["points"][0][1], one["points"][-1][1]] for one in series]
    return Figure(
        name="alignment",
        title="alignment of the language model: losses by step",
        alt="; ".join(f"{name}: {first:.3f} at first, {last:.3f} at the end" for name, first, last in ends),
        kind="lines",
        data={"series": series, "x": "step", "digits": 3},
        columns=["loss", "first step", "last step"],
        rows=ends,
        note="Lower is better. The contrastive loss measures how well the embedding finds the accepted partners of each"
        " content in its batch; the loss of the answers, how well the model answers questions about items.",
    )
