"""DIN and DIEN as the package deepctr-torch has them."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
import torch
from arrays import Arrays, main
from deepctr_torch.callbacks import EarlyStopping
from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat, get_feature_names
from deepctr_torch.models import DIEN, DIN
from numpy.typing import NDArray

LENGTH, BATCH, EPOCHS, PATIENCE = 50, 1_024, 10, 2


def columns(arrays: Arrays, width: int) -> list[Any]:
    """The package's descriptions of the columns; events share the tables of the target."""
    card = arrays.card
    sizes = {"item": card["items"] + 1, "category": card["categories"] + 1}
    one = [SparseFeat(name, size, embedding_dim=width) for name, size in sizes.items()]
    several = [
        VarLenSparseFeat(
            SparseFeat(f"hist_{name}", size, embedding_dim=width, embedding_name=name), LENGTH, length_name="seq_length"
        )
        for name, size in sizes.items()
    ]
    user = SparseFeat("user", card["users"], embedding_dim=width)
    return [user, *one, *several, *(DenseFeat(name, 1) for name in card["counts"])]


def inputs(arrays: Arrays, split: str) -> tuple[dict[str, NDArray[np.float32]], NDArray[np.float32]]:
    """The columns of a split and its labels. Histories are padded at the end, as the package expects."""
    rows = arrays.split(split)
    seen = np.minimum(rows["seen"], LENGTH)
    history = arrays.histories(rows["user"], rows["seen"], LENGTH)
    shift = np.arange(LENGTH) + (LENGTH - seen)[:, None]
    history = np.where(shift < LENGTH, np.take_along_axis(history, np.minimum(shift, LENGTH - 1), 1), 0)
    found = {
        "user": rows["user"], "item": rows["item"], "category": arrays.category[rows["item"]],
        "hist_item": history, "hist_category": arrays.category[history], "seq_length": seen,
        **dict(zip(arrays.card["counts"], rows["counts"].T, strict=True)),
    }  # fmt: skip
    return {name: values.astype(np.float32) for name, values in found.items()}, rows["label"]


def trained(kind: type[Any], arrays: Arrays, setting: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trains until the validation AUC has not risen for :data:`PATIENCE` epochs, and takes the best epoch's weights."""
    torch.manual_seed(seed)
    wanted = columns(arrays, setting["embedding_dim"])
    model = kind(wanted, ["item", "category"], dnn_dropout=setting["dropout"], seed=seed, device="cpu")
    model.compile(
        torch.optim.Adam(model.parameters(), setting["learning_rate"]), "binary_crossentropy", metrics=["auc"]
    )
    names = get_feature_names(wanted)
    data = {split: inputs(arrays, split) for split in ("train", "valid", "test")}
    given = {split: ({name: of[name] for name in names}, label) for split, (of, label) in data.items()}
    stopping = EarlyStopping("val_auc", patience=PATIENCE, mode="max", restore_best_weights=True)
    started = time.monotonic()
    history = model.fit(
        *given["train"], BATCH, EPOCHS, verbose=2, validation_data=given["valid"], callbacks=[stopping]
    )  # fmt: skip
    seconds = time.monotonic() - started
    model.load_state_dict(stopping.best_weights)
    examples = len(history.epoch) * len(given["train"][1])
    scores = model.predict(given["test"][0], 4 * BATCH)[:, 0]
    return {"valid_auc": stopping.best, "test_scores": scores, "seconds": seconds, "examples": examples}


if __name__ == "__main__":
    main({"DIN (deepctr-torch)": partial(trained, DIN), "DIEN (deepctr-torch)": partial(trained, DIEN)})
