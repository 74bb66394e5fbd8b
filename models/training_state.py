"""The state of a training in one file, never half written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Checkpoints:
    """One file that holds the last state.

    Attributes:
        path: of the file; its folder is made when it is first written.
    """

    path: Path

    def load(self) -> dict[str, Any] | None:
        """The last state, or None where there is none."""
        if not self.path.is_file():
            return None
        state: dict[str, Any] = torch.load(self.path, weights_only=True)
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Replaces the last state: whenever the process ends, one whole state is there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(".unfinished")
        torch.save(state, unfinished)
        os.replace(unfinished, self.path)
