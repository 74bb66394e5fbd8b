"""Metrics of the ranking benchmark and their tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from benchmarks._table import write_table
from qarm.models.ranker.metrics import auc, auc_per_group

COMMAND = "python -m benchmarks.ranker"
LONG, COLD = 1000, 5
RESAMPLES = 100


def slices(examples: Mapping[str, np.ndarray], train_events: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of every slice.

    Args:
        examples: of the test split.
        train_events: positives of each example's item in the train period.
    """
    return {
        "all": np.ones(len(train_events), bool),
        "cold items": train_events < COLD,
        "long histories": examples["history_length"] >= LONG,
        "not taken before": examples["taken"] == 0,
        "long, not taken before": (examples["history_length"] >= LONG) & (examples["taken"] == 0),
    }


def metrics(users: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """AUC, GAUC and UAUC; see docs/definitions.md."""
    by_user = auc_per_group(users, labels, scores)
    ranked = ~np.isnan(by_user.auc)
    return {
        "auc": auc(labels, scores),
        "gauc": float(np.average(by_user.auc[ranked], weights=by_user.count[ranked])) if ranked.any() else float("nan"),
        "uauc": float(by_user.auc[ranked].mean()) if ranked.any() else float("nan"),
    }


def measured(examples: Mapping[str, np.ndarray], train_events: np.ndarray, scores: Mapping[str, Any]) -> pd.DataFrame:
    """One row a model, seed and slice.

    Args:
        examples: of the test split.
        train_events: of each example's item.
        scores: by "model seed".
    """
    users = np.unique(examples["user_id"], return_inverse=True)[1].astype(np.int64)
    rows = []
    for name, own in scores.items():
        model, _, seed = name.rpartition(" ")
        for part, mask in slices(examples, train_events).items():
            found = metrics(users[mask], examples["label"][mask], own[mask])
            rows.append({"model": model, "seed": int(seed), "slice": part, "rows": int(mask.sum()), **found})
    return pd.DataFrame(rows)


def interval(examples: Mapping[str, np.ndarray], ours: list[np.ndarray], theirs: list[np.ndarray]) -> list[float]:
    """The bootstrap's 95 % interval, over users, of the mean over seeds of the difference in AUC."""
    users, group = np.unique(examples["user_id"], return_inverse=True)
    rows = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])

    def difference(drawn: np.ndarray) -> float:
        taken = np.concatenate([rows[user] for user in drawn])
        labels = examples["label"][taken]
        means = [np.mean([auc(labels, scores[taken]) for scores in side]) for side in (ours, theirs)]
        return float(means[0] - means[1])

    found = bootstrap(
        (np.arange(len(users)),), difference, vectorized=False, n_resamples=RESAMPLES, method="percentile", rng=0
    ).confidence_interval
    return [float(found.low), float(found.high)]


def write_models(title: str, found: pd.DataFrame, speed: Mapping[str, float], note: str) -> None:
    """Every model on the whole test split, best AUC last but ours."""
    rows = []
    for model, part in found[found["slice"] == "all"].groupby("model", sort=False):
        cells = [f"{part[m].mean():.4f} ± {part[m].std(ddof=0):.4f}" for m in ("auc", "gauc", "uauc")]
        rows.append([str(model), str(len(part)), *cells, f"{speed[model]:,.0f}" if model in speed else "–"])
    write_table(title, COMMAND, ["model", "seeds", "AUC", "GAUC", "UAUC", "examples trained a second"], rows, note)


def write_slices(title: str, found: pd.DataFrame, ours: str, best: str, note: str) -> None:
    """AUC of every model on every slice, and by how much ours is above the best of the others."""
    parts = list(dict.fromkeys(found["slice"]))
    counts = {part: found[found["slice"] == part]["rows"].iloc[0] for part in parts}
    means = found.groupby(["model", "slice"], sort=False)["auc"].mean().unstack()[parts]
    rows = [
        [str(model), *("–" if np.isnan(value) else f"{value:.4f}" for value in values)]
        for model, values in means.iterrows()
    ]
    gains = means.loc[ours] - means.loc[best]
    points = ("–" if np.isnan(gain) else f"{100 * gain:+.2f}" for gain in gains)
    rows.append([f"{ours} less {best}, points", *points])
    write_table(title, COMMAND, ["AUC", *(f"{part} ({counts[part]:,})" for part in parts)], rows, note)


def write_ablations(title: str, found: pd.DataFrame, note: str) -> None:
    """Validation AUC of the whole and of each part left out."""
    whole = found["valid_auc"].iloc[0]
    rows = [
        [name, f"{value:.4f}", f"{value - whole:+.4f}"]
        for name, value in found[["model", "valid_auc"]].itertuples(index=False)
    ]
    write_table(title, COMMAND, ["ranker", "validation AUC", "beside the whole"], rows, note)
