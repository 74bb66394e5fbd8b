"""Metrics and tables of the ranking benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from benchmarks._table import write_table
from models.ranker.training.metrics import auc, auc_per_group

COMMAND = "python -m benchmarks.ranker"
COLD = 5
RESAMPLES = 100


def slices(examples: Mapping[str, np.ndarray], train_events: np.ndarray, long: int) -> dict[str, np.ndarray]:
    """Masks of the examples in every slice.

    Args:
        examples: columns of the test split.
        train_events: number of positives on each example's item in the train period.
        long: smallest number of earlier positives of a long history.
    """
    is_long, is_new = examples["history_length"] >= long, examples["taken"] == 0
    return {
        "all": np.ones(len(train_events), bool),
        "cold items": train_events < COLD,
        "long histories": is_long,
        "not taken before": is_new,
        "long, not taken before": is_long & is_new,
    }


def metrics(users: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """AUC, GAUC and UAUC as defined in docs/definitions.md."""
    by_user = auc_per_group(users, labels, scores)
    ranked = ~np.isnan(by_user.auc)
    return {
        "auc": auc(labels, scores),
        "gauc": float(np.average(by_user.auc[ranked], weights=by_user.count[ranked])) if ranked.any() else float("nan"),
        "uauc": float(by_user.auc[ranked].mean()) if ranked.any() else float("nan"),
    }


def measured(
    examples: Mapping[str, np.ndarray], parts: Mapping[str, np.ndarray], scores: Mapping[str, Any]
) -> pd.DataFrame:
    """Metrics of every model, seed and slice, one row each.

    Args:
        examples: columns of the test split.
        parts: result of :func:`slices`.
        scores: scores of the examples, by "model seed".
    """
    users = np.unique(examples["user_id"], return_inverse=True)[1].astype(np.int64)
    rows = []
    for name, own in scores.items():
        model, _, seed = name.rpartition(" ")
        for part, mask in parts.items():
            found = metrics(users[mask], examples["label"][mask], own[mask])
            rows.append({"model": model, "seed": int(seed), "slice": part, "rows": int(mask.sum()), **found})
    return pd.DataFrame(rows)


def interval(
    examples: Mapping[str, np.ndarray], mask: np.ndarray, ours: list[np.ndarray], theirs: list[np.ndarray]
) -> tuple[float, float]:
    """95 % bootstrap interval over users of the difference in AUC on a slice, mean over seeds, in points.

    The interval is NaN if all labels of the slice are equal.
    """
    if len(np.unique(examples["label"][mask])) < 2:
        return float("nan"), float("nan")
    of_slice = examples["label"][mask]
    ours, theirs = ([scores[mask] for scores in side] for side in (ours, theirs))
    users, group = np.unique(examples["user_id"][mask], return_inverse=True)
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])

    def difference(drawn: np.ndarray) -> float:
        taken = np.concatenate([rows[user] for user in drawn])
        labels = of_slice[taken]
        means = [np.mean([auc(labels, scores[taken]) for scores in side]) for side in (ours, theirs)]
        return float(100 * (means[0] - means[1]))

    found = bootstrap(
        (np.arange(len(users)),), difference, vectorized=False, n_resamples=RESAMPLES, method="percentile", rng=0
    ).confidence_interval
    return float(found.low), float(found.high)


def write_models(title: str, found: pd.DataFrame, speed: Mapping[str, float], note: str) -> None:
    """Writes the metrics of every model on the whole test split."""
    rows = []
    for model, part in found[found["slice"] == "all"].groupby("model", sort=False):
        cells = [f"{part[m].mean():.4f} ± {part[m].std(ddof=0):.4f}" for m in ("auc", "gauc", "uauc")]
        rows.append([str(model), str(len(part)), *cells, f"{speed[model]:,.0f}" if model in speed else "–"])
    write_table(title, COMMAND, ["model", "seeds", "AUC", "GAUC", "UAUC", "examples trained a second"], rows, note=note)


def write_slices(
    title: str,
    found: pd.DataFrame,
    *,
    ours: str,
    best: str,
    intervals: Mapping[str, tuple[float, float]],
    note: str,
) -> None:
    """Writes the AUC of every model on every slice, and the difference between ours and the best other model."""
    parts = list(dict.fromkeys(found["slice"]))
    counts = {part: found[found["slice"] == part]["rows"].iloc[0] for part in parts}
    means = found.groupby(["model", "slice"], sort=False)["auc"].mean().unstack()[parts]
    rows = [
        [str(model), *("–" if np.isnan(value) else f"{value:.4f}" for value in values)]
        for model, values in means.iterrows()
    ]
    gains = means.loc[ours] - means.loc[best]
    points = ("–" if np.isnan(gain) else f"{100 * gain:+.2f}" for gain in gains)
    rows.append([f"{ours} minus {best}, points", *points])
    ends = ("–" if np.isnan(low) else f"{low:+.2f} to {high:+.2f}" for low, high in (intervals[part] for part in parts))
    rows.append(["95 % over users", *ends])
    write_table(title, COMMAND, ["AUC", *(f"{part} ({counts[part]:,})" for part in parts)], rows, note=note)


def write_ablations(title: str, found: pd.DataFrame, note: str) -> None:
    """Writes the validation AUC of the whole ranker and of the ranker without each part."""
    whole = found["valid_auc"].iloc[0]
    rows = [
        [name, f"{value:.4f}", f"{value - whole:+.4f}"]
        for name, value in found[["model", "valid_auc"]].itertuples(index=False)
    ]
    write_table(title, COMMAND, ["ranker", "validation AUC", "difference from the whole"], rows, note=note)
