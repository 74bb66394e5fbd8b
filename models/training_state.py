"""Checkpoints of a training: one file, always complete, replaced atomically."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoint file of a training.

    Attributes:
        path: path of the file; its folder is created at the first save.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """The last saved state, or None if the file does not exist."""
        if not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the saved state atomically: a process killed at any moment leaves a complete file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        os.replace(unfinished, self.path)
