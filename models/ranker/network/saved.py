"""Saves a ranker as one safetensors file and one JSON card, and loads it."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from hashlib import sha256
from pathlib import Path

from safetensors.torch import load_file, save_file

from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from schemas.features import declarations_digest

FORMAT = sha256(repr((declarations_digest(), [field.name for field in fields(RankerShape)])).encode()).hexdigest()[:12]
"""Digest of the features and of the shape's fields; rankers saved with another digest are not loaded."""


def save_ranker(ranker: Ranker, folder: Path, name: str) -> None:
    """Writes ``<name>.safetensors`` and ``<name>.json`` to a folder."""
    save_file(ranker.state_dict(), folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(asdict(ranker.shape), indent=1), encoding="utf-8")


def load_ranker(folder: Path, name: str) -> Ranker:
    """Loads a ranker that :func:`save_ranker` wrote, in evaluation mode."""
    shape = RankerShape(**json.loads((folder / f"{name}.json").read_text(encoding="utf-8")))
    ranker = Ranker(shape)
    ranker.load_state_dict(load_file(folder / f"{name}.safetensors"))
    return ranker.eval()
