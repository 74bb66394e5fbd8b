"""One process of a training: alone, or one of several that torchrun started and that tell by files how it went."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import distributed

from models.world import World

RECORD = "record.json"
MISTAKE = "mistake.txt"


def as_one_of_many(work: Callable[[World], None], out: Path) -> None:
    """Works within the process group of torchrun's environment; a mistake's words are left in a folder.

    Args:
        work: what this process does.
        out: the folder.
    """
    distributed.init_process_group("gloo")
    try:
        work(World.of_process_group())
    except (ValueError, FloatingPointError) as error:
        (out / MISTAKE).write_text(str(error))
        raise
    finally:
        distributed.destroy_process_group()


def write_record(record: Any, folder: Path) -> None:
    """Leaves what happened, a dataclass of numbers, beside the results."""
    (folder / RECORD).write_text(json.dumps(asdict(record)))


def read_record(folder: Path) -> dict[str, Any]:
    """Takes the record out of a folder.

    Raises:
        ValueError: a process stopped at a mistake of the settings or at a loss that is no number; in its words.
    """
    if (folder / MISTAKE).is_file():
        raise ValueError((folder / MISTAKE).read_text())
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    (folder / RECORD).unlink()
    return record
