"""Figures of the report, as SVG."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

matplotlib.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.fonttype": "none",
        "svg.hashsalt": "qarm",
    }
)
MOST_CODES = 8192
"""Most codes of a level that a figure shows."""

COLOURS = ("#2563eb", "#d97706", "#059669", "#dc2626")


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def code_use(levels: Mapping[str, Sequence[int]], sizes: Sequence[int]) -> str:
    """How often each code of each level is used, sorted by use.

    Args:
        levels: for each level, by name, the number of contents of each used code.
        sizes: number of codes of each level.
    """
    figure = Figure(figsize=(9, 2.6))
    for place, ((name, counts), size, colour) in enumerate(zip(levels.items(), sizes, COLOURS, strict=False), 1):
        axes = figure.add_subplot(1, len(levels), place)
        ordered = np.zeros(max(len(counts), min(size, MOST_CODES)))
        ordered[: len(counts)] = sorted(counts, reverse=True)
        axes.fill_between(np.arange(len(ordered)), ordered, step="post", color=colour, alpha=0.85, linewidth=0)
        used = f"the {len(counts)} most used" if len(counts) == MOST_CODES else f"{len(counts)}"
        axes.set_title(f"{name}: {used} of {size} codes used", fontsize=9)
        axes.set_xlabel("codes, sorted by use")
        axes.set_ylim(bottom=0)
        if place == 1:
            axes.set_ylabel("distinct contents")
    figure.tight_layout()
    return _svg(figure)


def bucket_sizes(sizes: Sequence[int], counts: Sequence[int]) -> str:
    """Number of semantic IDs by the number of distinct contents that share one.

    Args:
        sizes: numbers of contents that share a SID.
        counts: number of SIDs for each of ``sizes``.
    """
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_subplot()
    axes.bar(sizes, counts, color=COLOURS[0], width=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("distinct contents per semantic ID")
    axes.set_ylabel("number of semantic IDs")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return _svg(figure)


def training_curves(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Training loss and validation AUC by step.

    Args:
        curves: for each model, by name, its points, each with ``step``, ``loss`` and ``auc``.
    """
    figure = Figure(figsize=(9, 2.8))
    for place, (key, title) in enumerate((("loss", "training loss"), ("auc", "validation AUC")), 1):
        axes = figure.add_subplot(1, 2, place)
        for (name, points), colour in zip(curves.items(), COLOURS, strict=False):
            steps = [point["step"] for point in points]
            axes.plot(steps, [point[key] for point in points], marker="o", markersize=3, color=colour, label=name)
        axes.set_xlabel("step")
        axes.set_title(title, fontsize=9)
        axes.legend(frameon=False)
    figure.tight_layout()
    return _svg(figure)


def alignment_losses(contrastive: Sequence[float], answers: Sequence[float | None]) -> str:
    """The losses of an alignment by step.

    Args:
        contrastive: contrastive loss of every step.
        answers: loss of the answers of every step, per token; None for a step without questions.
    """
    shown = [("contrastive loss", contrastive), ("loss of the answers, nats per token", answers)]
    shown = [(title, values) for title, values in shown if any(value is not None for value in values)]
    figure = Figure(figsize=(4.5 * len(shown), 2.8))
    for place, ((title, values), colour) in enumerate(zip(shown, COLOURS, strict=False), 1):
        axes = figure.add_subplot(1, len(shown), place)
        points = [(step, value) for step, value in enumerate(values, 1) if value is not None]
        axes.plot([step for step, _ in points], [value for _, value in points], color=colour, linewidth=1)
        axes.set_xlabel("step")
        axes.set_title(title, fontsize=9)
    figure.tight_layout()
    return _svg(figure)


def verdict_scores(edges: Sequence[float], kept: Sequence[int], rejected: Sequence[int]) -> str:
    """Histogram of the judge's scores of kept and rejected pairs.

    Args:
        edges: left edges of the bins, evenly spaced.
        kept: number of kept pairs in each bin.
        rejected: number of rejected pairs in each bin.
    """
    figure = Figure(figsize=(4.4, 2.6))
    axes = figure.add_subplot()
    width = edges[1] - edges[0] if len(edges) > 1 else 1.0
    axes.bar(edges, kept, width, align="edge", color=COLOURS[2], label="kept")
    axes.bar(edges, rejected, width, align="edge", bottom=kept, color=COLOURS[3], label="rejected")
    axes.set_xlabel("score of the judge")
    axes.set_ylabel("pairs")
    axes.legend(frameon=False)
    return _svg(figure)
