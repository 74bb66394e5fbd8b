"""Saves a ranker as one safetensors file and one JSON card, and loads it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.network.texts.reader import BANK
from schemas.features import declarations_digest

FORMAT = sha256(repr((declarations_digest(), [field.name for field in fields(RankerShape)])).encode()).hexdigest()[:12]
"""Digest of the features and of the shape's fields; rankers saved with another digest are not loaded."""


def save_ranker(ranker: Ranker, folder: Path, name: str) -> None:
    """Writes ``<name>.safetensors`` and ``<name>.json`` to a folder, and the memory bank of item texts, if it has one.

    The bank is a file of its own for each array, which :func:`load_ranker` maps into memory.
    """
    weights = ranker.state_dict()
    for array in [] if ranker.text is None else BANK:
        np.save(_of_bank(folder, name, array), weights.pop(f"text.{array}").numpy())
    save_file(weights, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(asdict(ranker.shape), indent=1), encoding="utf-8")


def load_ranker(folder: Path, name: str) -> Ranker:
    """Loads a ranker that :func:`save_ranker` wrote, in evaluation mode; all processes of a host share its bank."""
    shape = RankerShape(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    ranker = Ranker(shape)
    weights = load_file(folder / f"{name}.safetensors")
    if ranker.text is not None:
        weights |= {f"text.{array}": getattr(ranker.text, array) for array in BANK}
    ranker.load_state_dict(weights)
    if ranker.text is not None:
        for array in BANK:  # copied only where it is written, which serving does not
            setattr(ranker.text, array, torch.from_numpy(np.load(_of_bank(folder, name, array), mmap_mode="c")))
    return ranker.eval()


def _of_bank(folder: Path, name: str, array: str) -> Path:
    return folder / f"{name}.{array}.npy"
