"""Examples, histories and items of a warehouse as plain arrays, for models that know nothing of qarm."""

from __future__ import annotations

import json
import tempfile
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import deltalake
import numpy as np
import pandas as pd

from benchmarks._plain_models import COUNTS, Features, first_time, numbers
from benchmarks._ranker_models import Examples
from schemas.feature import BUCKETS, Reads
from schemas.features import FEATURES

CODED = {
    feature.name: BUCKETS if feature.reads is Reads.BUCKET else feature.values
    for feature in FEATURES
    if feature.name in COUNTS and feature.reads in (Reads.BUCKET, Reads.CATEGORY)
}
"""Columns of :data:`COUNTS` whose numbers are names, and how many there are; the others are counts."""
COUNTED = [name for name in COUNTS if name not in CODED]


def place_of(examples: Examples, folder: Path) -> Path:
    """The folder of the arrays of one version of ``ranker_examples``, as this file writes them.

    Args:
        examples: the examples.
        folder: folder for all versions.
    """
    table = deltalake.DeltaTable(str(examples.warehouse / "ranker_examples"))
    said = [table.metadata().id, table.version(), COUNTS, Path(__file__).read_text(encoding="utf-8")]
    return folder / f"arrays-{table.version()}-{sha256(json.dumps(said).encode()).hexdigest()[:8]}"


def export(examples: Examples, folder: Path) -> None:
    """Writes the arrays to :func:`place_of`, if they are not there.

    ``users.npz`` holds the items of all users' positive events, oldest first, one user after the other (``items``), and
    where each user's begin (``starts``). ``items.npz`` holds the ``category`` of every item. Numbers of items and
    categories begin at 1; 0 is padding. ``<split>.npz`` holds, in the order of the files, ``example_id``, ``label``,
    ``user``, ``item``, ``seen`` (the number of the user's events before the example), ``coded`` (:data:`CODED`),
    ``counts`` (the other counts that every model reads, as logarithms of one more), ``features`` (the hand-made
    features of gradient boosting and the item's category) and ``numbers`` (all numbers that QARM V2's head reads).

    Args:
        examples: the examples.
        folder: folder for all versions.
    """
    place = place_of(examples, folder)
    if place.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(dir=folder))
    _write(examples, half)
    half.rename(place)


def _write(examples: Examples, folder: Path) -> None:
    made = Features(examples)
    log, first = made.log, {split: first_time(examples, split) for split in ("train", "valid")}
    starts = np.searchsorted(log["user"].to_numpy(), np.arange(len(made.users) + 1))
    np.savez(folder / "users.npz", items=(log["row"].to_numpy() + 1).astype(np.int32), starts=starts)
    items = deltalake.DeltaTable(str(examples.warehouse / "items")).to_pandas(columns=["item_id", "category"])
    items = items.sort_values("item_id")  # as the rows of Features
    category, names = pd.factorize(items["category"], use_na_sentinel=False)
    category = np.concatenate([[0], category + 1]).astype(np.int32)
    np.savez(folder / "items.npz", category=category)
    times = [log["event_time"].to_numpy()[start:stop] for start, stop in pairwise(starts)]
    for split in ("train", "valid", "test"):
        table, label = made.table(split, first["train" if split == "train" else "valid"])
        described = examples.described(split, "event_time")
        user = pd.Index(made.users).get_indexer(described["user_id"])
        assert (user >= 0).all(), "a user without a positive event has examples"
        at = described["event_time"].astype("datetime64[us]")
        seen = np.array([np.searchsorted(times[of], time, side="left") for of, time in zip(user, at, strict=True)])
        assert (seen == described["history_length"]).all(), "a history is not that of the example"
        item = pd.Series(described["item_id"]).map(made.row).to_numpy() + 1
        np.savez(
            folder / f"{split}.npz",
            example_id=described["example_id"].astype(str),
            label=label.astype(np.float32),
            user=user.astype(np.int32),
            item=item.astype(np.int32),
            seen=seen.astype(np.int32),
            coded=table[[*CODED]].to_numpy(np.int32),
            counts=np.log1p(table[COUNTED].clip(lower=0).to_numpy(np.float32)),
            features=np.concatenate([table.to_numpy(np.float32), category[item, None]], axis=1, dtype=np.float32),
            numbers=numbers(examples, split)[0],
        )
    card = {"users": len(made.users), "items": len(items), "categories": len(names), "counts": COUNTED, "coded": CODED}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
