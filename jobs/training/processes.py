"""What trainings on the driver share: processes under Spark's TorchDistributor, and where their state lies."""

from __future__ import annotations

import getpass
import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from pyspark.ml.torch.distributor import TorchDistributor

from lake.run import Run
from models.processes import MISTAKE, read_record
from schemas.errors import UserError


class Task(Protocol):
    """What the processes of a training are given; pickled for them."""

    @property
    def out(self) -> Path:
        """Folder of their results, and of the record that the first of them leaves."""


def refuse_processes_off_the_driver(run: Run, section: str, processes: int) -> None:
    """Several processes share the driver's disk.

    Raises:
        UserError: there are several, and the master is not local.
    """
    if processes > 1 and not (run.spark.sparkContext.master or "").startswith("local"):
        raise UserError(
            f"{section}.processes: several processes share the driver's disk, so they run on a local master alone; set"
            f" it to 1, or run {run.job.name} with --master local[*] on a host with enough cores"
        )


def in_processes(train: Callable[[Any], None], task: Task, processes: int) -> dict[str, Any]:
    """Trains in this process, or in as many as the settings say under Spark's TorchDistributor.

    Args:
        train: what each process runs.
        task: what it is given.
        processes: how many.

    Returns:
        The fields of the record.

    Raises:
        ValueError: a process stopped at a mistake; in its words.
    """
    if processes == 1:
        train(task)
        return read_record(task.out)
    distributor = TorchDistributor(num_processes=processes, local_mode=True, use_gpu=torch.cuda.is_available())
    try:
        distributor.run(train, task)
    except RuntimeError:  # it names no cause; a process that knows one left it behind
        if not (task.out / MISTAKE).is_file():
            raise
    return read_record(task.out)


def checkpoint_folder(run: Run, named: str) -> Path:
    """Where the state of this warehouse's trainings lies: the same folder when the run is started again.

    Args:
        run: the run.
        named: by the settings; empty for one beside a local warehouse, or else among the temporary files.
    """
    root = run.lake.warehouse.root
    here = run.lake.files.local_path(root)
    if here is not None and not named:
        return here / "_training"
    base = Path(named) if named else Path(tempfile.gettempdir()) / f"qarm-training-{getpass.getuser()}"
    return base / hashlib.sha256(root.encode()).hexdigest()[:16]


def digest_of(made_from: Any) -> str:
    """A short name for what a training depends on, JSON-serialisable: its state is no other's."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
