"""Training on the driver: processes by Spark's TorchDistributor, and the folder of checkpoints."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from pyspark.ml.torch.distributor import TorchDistributor

from lake.run import Run
from lake.surroundings import user_name
from models.processes import MISTAKE, read_record
from schemas.errors import UserError


class Task(Protocol):
    """The input of the processes of a training; it is pickled."""

    @property
    def out(self) -> Path:
        """Folder of the results and of the record of the training."""


def refuse_processes_off_the_driver(run: Run, section: str, processes: int) -> None:
    """Refuses several processes on a cluster, as the processes share the driver's disk.

    Raises:
        UserError: there are several processes, and the master is not local.
    """
    if processes > 1 and not (run.spark.sparkContext.master or "").startswith("local"):
        raise UserError(
            f"{section}.processes: several processes share the driver's disk, so they only run with a local master; set"
            f" it to 1, or run {run.job.name} with --master local[*] on a host with enough cores"
        )


def in_processes(train: Callable[[Any], None], task: Task, processes: int) -> dict[str, Any]:
    """Trains in this process, or in several processes by Spark's TorchDistributor.

    Args:
        train: function that each process runs.
        task: argument of the function.
        processes: number of processes.

    Returns:
        The fields of the record of the training.

    Raises:
        ValueError: a setting made the training fail; the message is that of the process.
    """
    if processes == 1:
        train(task)
        return read_record(task.out)
    distributor = TorchDistributor(num_processes=processes, local_mode=True, use_gpu=torch.cuda.is_available())
    try:
        distributor.run(train, task)
    except RuntimeError:  # it names no cause; a process that knows the cause has written it to a file
        if not (task.out / MISTAKE).is_file():
            raise
    return read_record(task.out)


def checkpoint_folder(run: Run, named: str) -> Path:
    """The folder of checkpoints; a run that is started again uses the same folder.

    Args:
        run: the run.
        named: folder of the settings; empty for a folder in a local warehouse, or else in the temporary folder.
    """
    root = run.lake.warehouse.root
    here = run.lake.files.local_path(root)
    if here is not None and not named:
        return here / "_training"
    base = Path(named) if named else Path(tempfile.gettempdir()) / f"qarm-training-{user_name()}"
    return base / hashlib.sha256(root.encode()).hexdigest()[:16]


def digest_of(made_from: Any) -> str:
    """A hash of all inputs of a training, which must be JSON-serialisable; it names the checkpoint."""
    return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
