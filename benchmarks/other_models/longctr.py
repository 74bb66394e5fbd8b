"""Rankers on long histories as FuxiCTR's model zoo has them (LongCTR).

They are taken as they are: DIEN has no auxiliary loss, and the mask of the short history of SIM, ETA, SDIM and TWIN is
shifted by one event.
"""

from __future__ import annotations

import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from arrays import BATCH, EPOCHS, PATIENCE, SHORT, Arrays, main
from fuxictr.features import FeatureMap
from fuxictr.pytorch.torch_utils import seed_everything
from model_zoo import LongCTR
from numpy.typing import NDArray

LONG, FOUND = 500, 50
FEWEST = 64
"""A smaller rest of a split goes into the batch before it: DIEN fails on a batch without any history."""
MODELS = {"DIN": SHORT, "DIEN": SHORT, "SIM": LONG, "ETA": LONG, "SDIM": LONG, "TWIN": LONG}
"""Number of events that each model reads."""


@dataclass
class Batches:
    """Batches in the form of LongCTR's loader: columns, items of histories and targets, and which events are there.

    LongCTR's own loader looks up a data frame for each event; the batches are the same. A batch is as long as its
    longest history, and at least as long as what a search keeps.

    Attributes:
        arrays: the examples.
        split: their split.
        length: most events of a history.
        padded_behind: whether padding stands behind the events.
        shuffled: what shuffles; None for the order of the arrays.
    """

    arrays: Arrays
    split: str
    length: int
    padded_behind: bool
    shuffled: np.random.Generator | None = None
    rows: dict[str, NDArray[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.rows = dict(self.arrays.split(self.split, "label", "user", "item", "seen", "coded", "counts"))

    def __len__(self) -> int:
        return max(1, (len(self.rows["label"]) + BATCH - FEWEST) // BATCH)

    def __iter__(self) -> Iterator[tuple[dict[str, torch.Tensor], dict[str, torch.Tensor], torch.Tensor]]:
        n = len(self.rows["label"])
        order = np.arange(n) if self.shuffled is None else self.shuffled.permutation(n)
        for number in range(len(self)):
            stop = n if number == len(self) - 1 else (number + 1) * BATCH
            rows = {name: values[order[number * BATCH : stop]] for name, values in self.rows.items()}
            length = min(self.length, max(FOUND + 1, int(rows["seen"].max())))
            history = self.arrays.histories(rows["user"], rows["seen"], length, padded_behind=self.padded_behind)
            items = np.concatenate([history, rows["item"][:, None]], axis=1).ravel()
            columns = {"label": rows["label"], "user": rows["user"]}
            columns |= dict(zip(self.arrays.card["coded"], rows["coded"].T, strict=True))
            columns |= dict(zip(self.arrays.card["counts"], rows["counts"].T, strict=True))
            of_items = {"item": items, "category": self.arrays.category[items]}
            yield _tensors(columns), _tensors(of_items), torch.from_numpy((history > 0).astype(np.float32))


def _tensors(columns: dict[str, NDArray[Any]]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.ascontiguousarray(values)) for name, values in columns.items()}


def feature_map(arrays: Arrays, folder: str, width: int) -> FeatureMap:
    """The package's description of the columns."""
    card = arrays.card

    def table(source: str, size: int) -> dict[str, Any]:
        padding = {"padding_idx": 0} if source == "item" else {}
        return {"source": source, "type": "categorical", "vocab_size": size, **padding}

    found = FeatureMap("examples", folder)
    found.features = OrderedDict(
        user=table("user", card["users"]),
        **{name: table("context", size) for name, size in card["coded"].items()},
        **{name: {"source": "context", "type": "numeric"} for name in card["counts"]},
        item=table("item", card["items"] + 1),
        category=table("item", card["categories"] + 1),
    )
    found.labels, found.default_emb_dim, found.num_fields = ["label"], width, len(found.features)
    return found


def trained(name: str, arrays: Arrays, setting: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trains until :data:`PATIENCE` validations, of two an epoch, have not raised the AUC; takes the best weights."""
    seed_everything(seed)
    form = MODELS[name], name == "DIEN"  # DIEN takes the first events of each row
    train = Batches(arrays, "train", *form, np.random.default_rng(seed))
    valid, test = Batches(arrays, "valid", *form), Batches(arrays, "test", *form)
    with tempfile.TemporaryDirectory() as folder:
        features = feature_map(arrays, folder, setting["embedding_dim"])
        Path(folder, features.dataset_id).mkdir()  # where the package writes the best weights
        model = getattr(LongCTR, name)(
            features, optimizer="adam", loss="binary_crossentropy", metrics=["AUC"], monitor="AUC", verbose=0,
            model_root=folder, learning_rate=setting["learning_rate"], embedding_dim=setting["embedding_dim"],
            net_dropout=setting["dropout"], early_stop_patience=PATIENCE, eval_steps=max(1, len(train) // 2),
            short_seq_len=SHORT + 1, topk=FOUND, reduce_lr_on_plateau=False,
        )  # fmt: skip
        started = time.monotonic()
        model.fit(train, epochs=EPOCHS, validation_data=valid)
        speed = model._total_steps * BATCH / (time.monotonic() - started)
    return {
        "valid_auc": model.evaluate(valid)["AUC"],
        "test_scores": model.predict(test),
        "examples_per_second": speed,
    }


if __name__ == "__main__":
    main({f"{name} (FuxiCTR)": partial(trained, name) for name in MODELS})
