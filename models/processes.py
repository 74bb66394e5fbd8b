"""One process of a distributed training: it joins the process group and reports its result through files."""

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
    """Runs a function inside the process group that torchrun's environment describes.

    The message of a ValueError or FloatingPointError is written to a file, so that the starting process can raise it.

    Args:
        work: the function to run.
        out: folder that the error message is written to.
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
    """Writes a dataclass that describes the training to the folder with its results."""
    (folder / RECORD).write_text(json.dumps(asdict(record)))


def read_record(folder: Path) -> dict[str, Any]:
    """Reads the record that :func:`write_record` wrote, and deletes its file.

    Raises:
        ValueError: a training process failed, because of a wrong setting or a loss that is not finite; the message is
            that process's own.
    """
    if (folder / MISTAKE).is_file():
        raise ValueError((folder / MISTAKE).read_text())
    record: dict[str, Any] = json.loads((folder / RECORD).read_text())
    (folder / RECORD).unlink()
    return record
