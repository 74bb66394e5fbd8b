"""DIN and DIEN as the package deepctr-torch has them; DIEN without its auxiliary loss, with its AUGRU."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import requests
import torch
from arrays import BATCH, EPOCHS, PATIENCE, SHORT, Arrays, main
from numpy.typing import NDArray


def _no_network(*_: Any, **__: Any) -> None:
    raise OSError("the package asks for its newest version when it is imported; where nothing answers, it waits")


requests.get = _no_network
from deepctr_torch.inputs import DenseFeat, SparseFeat, VarLenSparseFeat, get_feature_names  # noqa: E402
from deepctr_torch.models import DIEN, DIN  # noqa: E402

ROWS = 100_000
"""Examples whose histories are looked up at once."""
Columns = dict[str, NDArray[np.float32]]


def columns(arrays: Arrays, width: int) -> list[Any]:
    """The package's descriptions of the columns; events share the tables of the target."""
    card = arrays.card
    sizes = {"item": card["items"] + 1, "category": card["categories"] + 1}
    one = [SparseFeat(name, size, embedding_dim=width) for name, size in sizes.items()]
    several = [
        VarLenSparseFeat(
            SparseFeat(f"hist_{name}", size, embedding_dim=width, embedding_name=name), SHORT, length_name="seq_length"
        )
        for name, size in sizes.items()
    ]
    others = {"user": card["users"], **card["coded"]}
    coded = [SparseFeat(name, size, embedding_dim=width) for name, size in others.items()]
    return [*coded, *one, *several, *(DenseFeat(name, 1) for name in card["counts"])]


def inputs(arrays: Arrays, split: str) -> tuple[Columns, NDArray[np.float32]]:
    """The columns of a split and its labels. Histories are padded behind, as the package expects."""
    rows = arrays.split(split, "user", "item", "seen", "coded", "counts", "label")
    history = np.empty((len(rows["label"]), SHORT), np.float32)
    categories = np.empty_like(history)
    for start in range(0, len(history), ROWS):
        part = slice(start, start + ROWS)
        found = arrays.histories(rows["user"][part], rows["seen"][part], SHORT, padded_behind=True)
        history[part], categories[part] = found, arrays.category[found]
    given = {
        "user": rows["user"], "item": rows["item"], "category": arrays.category[rows["item"]],
        "hist_item": history, "hist_category": categories, "seq_length": np.minimum(rows["seen"], SHORT),
        **dict(zip(arrays.card["coded"], rows["coded"].T, strict=True)),
        **dict(zip(arrays.card["counts"], rows["counts"].T, strict=True)),
    }  # fmt: skip
    return {name: values.astype(np.float32, copy=False) for name, values in given.items()}, rows["label"]


def trained(kind: Callable[..., Any], arrays: Arrays, setting: dict[str, Any], seed: int) -> dict[str, Any]:
    """Trains until :data:`PATIENCE` validations, of two an epoch, have not raised the AUC; takes the best weights.

    Each half of an epoch is a fit of the package's: it turns its layers to training only when a fit begins.
    """
    torch.manual_seed(seed)
    wanted = columns(arrays, setting["embedding_dim"])
    model = kind(wanted, ["item", "category"], dnn_dropout=setting["dropout"], seed=seed, device="cpu")
    optimizer = torch.optim.Adam(model.parameters(), setting["learning_rate"])
    model.compile(optimizer, "binary_crossentropy", metrics=["auc"])
    names = get_feature_names(wanted)
    (train, labels), valid, (test, _) = (inputs(arrays, split) for split in ("train", "valid", "test"))
    validation = {name: valid[0][name] for name in names}, valid[1]
    shuffled, best, weights, since, examples = np.random.default_rng(seed), -np.inf, None, 0, 0
    started = time.monotonic()
    while since < PATIENCE and examples < EPOCHS * len(labels):
        for rows in np.array_split(shuffled.permutation(len(labels)), 2):
            half = {name: train[name][rows] for name in names}
            history = model.fit(half, labels[rows], BATCH, 1, verbose=2, validation_data=validation)
            examples, since, reached = examples + len(rows), since + 1, history.history["val_auc"][-1]
            if reached > best:
                best, weights, since = reached, copy.deepcopy(model.state_dict()), 0
            if since == PATIENCE:
                break
    speed = examples / (time.monotonic() - started)
    model.load_state_dict(weights)
    scores = model.predict({name: test[name] for name in names}, 4 * BATCH)[:, 0]
    return {"valid_auc": best, "test_scores": scores, "examples_per_second": speed}


if __name__ == "__main__":
    main(
        {
            "DIN (deepctr-torch)": partial(trained, DIN),
            "DIEN (deepctr-torch)": partial(trained, partial(DIEN, gru_type="AUGRU")),
        }
    )
