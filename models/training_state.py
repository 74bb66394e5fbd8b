"""Checkpoints of a training: one file, always complete, replaced atomically, and read without pickle."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

log = logging.getLogger("qarm")

STATE = "qarm_state"
"""Entry of a file's header that holds all of a state but its tensors, as JSON."""
TENSOR, PAIRS, ITEMS = "tensor", "pairs", "items"


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint file of a training, in the format safetensors, so that reading it runs no code.

    Attributes:
        path: path of the file; its folder is created at the first save.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None if there is no file, or a damaged one, of which the log tells.

        The file is mapped into memory: its tensors take memory as they are read.
        """
        if not self.path.is_file():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                state: dict[str, Any] = _unpacked(json.loads((file.metadata() or {})[STATE]), tensors)
        except (SafetensorError, KeyError, ValueError) as error:
            reason = " ".join(str(error).split())
            log.warning("checkpoint %s is damaged (%s): the training begins anew", self.path, reason)
            return None
        return state

    def save(self, state: Mapping[str, Any]) -> None:
        """Replaces the saved state atomically: a process killed at any moment leaves a complete file.

        Args:
            state: dictionaries, lists and tuples of tensors, numbers, texts and None.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        tensors: dict[str, torch.Tensor] = {}
        # A tensor that stands at two places, as tied weights do, is written once.
        packed = _packed(state, tensors, names={})
        save_file(tensors, unfinished, {STATE: json.dumps(packed)})
        with unfinished.open("rb+") as stream:  # a host that loses power must not keep the name without the content
            os.fsync(stream.fileno())
        os.replace(unfinished, self.path)


def _packed(value: Any, tensors: dict[str, torch.Tensor], names: dict[Any, str]) -> Any:
    """A value in the form of JSON; its tensors go to ``tensors`` and leave their names."""
    if isinstance(value, torch.Tensor):
        own = value.detach()
        place = (own.data_ptr(), own.dtype, own.shape, own.stride()) if own.numel() else id(value)
        if place not in names:
            names[place] = f"{len(tensors)}"
            tensors[names[place]] = own.contiguous()
        return {TENSOR: names[place]}
    if isinstance(value, Mapping):  # as pairs, because keys may be numbers
        return {PAIRS: [[key, _packed(item, tensors, names)] for key, item in value.items()]}
    if isinstance(value, tuple):
        return {ITEMS: [_packed(item, tensors, names) for item in value]}
    if isinstance(value, list):
        return [_packed(item, tensors, names) for item in value]
    return value


def _unpacked(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """The value that :func:`_packed` was given."""
    if isinstance(value, list):
        return [_unpacked(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    if PAIRS in value:
        return {key: _unpacked(item, tensors) for key, item in value[PAIRS]}
    return tuple(_unpacked(item, tensors) for item in value[ITEMS])
