"""Examples, histories and items of a warehouse as plain arrays, for models that know nothing of qarm."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd

from benchmarks._plain_models import COUNTS, Features, first_time
from benchmarks._ranker_models import Examples

SPLITS = ("train", "valid", "test")
CARD = "card.json"
"""Written last: a folder without it is not whole."""


def export(examples: Examples, folder: Path) -> Path:
    """Writes the arrays of one version of ``ranker_examples``, once.

    ``users.npz`` holds the items of all users' positive events, oldest first, one user after the other (``items``), and
    where each user's begin (``starts``). ``items.npz`` holds the ``category`` of every item. Numbers of items and
    categories begin at 1; 0 is padding. ``<split>.npz`` holds, in the order of the files, ``example_id``, ``label``,
    ``user``, ``item``, ``seen`` (the number of the user's events before the example), ``counts`` (the counts that every
    model reads, logarithms of one more) and ``features`` (the hand-made features of gradient boosting).

    Args:
        examples: the examples.
        folder: folder for all versions.

    Returns:
        The folder of this version.
    """
    version = deltalake.DeltaTable(str(examples.warehouse / "ranker_examples")).version()
    folder = folder / f"arrays-{version}"
    if (folder / CARD).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    made = Features(examples)
    log, first = made.log, {split: first_time(examples, split) for split in ("train", "valid")}
    starts = np.searchsorted(log["user"].to_numpy(), np.arange(len(made.users) + 1))
    np.savez(folder / "users.npz", items=log["row"].to_numpy() + 1, starts=starts)
    items = deltalake.DeltaTable(str(examples.warehouse / "items")).to_pandas(columns=["item_id", "category"])
    items = items.sort_values("item_id")  # as the rows of Features
    category, names = pd.factorize(items["category"], use_na_sentinel=False)
    np.savez(folder / "items.npz", category=np.concatenate([[0], category + 1]))
    times = [log["event_time"].to_numpy()[start:stop] for start, stop in pairwise(starts)]
    for split in SPLITS:
        table, label = made.table(split, first["train" if split == "train" else "valid"])
        described = examples.described(split, "event_time")
        user = pd.Index(made.users).get_indexer(described["user_id"])
        seen = [
            np.searchsorted(times[of], at, side="left")
            for of, at in zip(user, described["event_time"].astype("datetime64[us]"), strict=True)
        ]
        np.savez(
            folder / f"{split}.npz",
            example_id=described["example_id"].astype(str),
            label=label.astype(np.float32),
            user=user,
            item=pd.Series(described["item_id"]).map(made.row).to_numpy() + 1,
            seen=np.array(seen),
            counts=np.log1p(table[COUNTS].clip(lower=0).to_numpy(np.float32)),
            features=table.to_numpy(np.float32),
        )
    card = {"version": version, "users": len(made.users), "items": len(items), "categories": len(names)}
    (folder / CARD).write_text(json.dumps(card | {"counts": COUNTS}), encoding="utf-8")
    return folder
