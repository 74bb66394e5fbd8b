"""Training on the driver, in one process or in several by Spark's TorchDistributor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from pyspark.ml.torch.distributor import TorchDistributor

from lake.run import Run
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
        torch.cuda.empty_cache()  # Python workers may compute on the same card; without one it does nothing
        return read_record(task.out)
    # Spark gives out no GPUs to a driver's processes; each takes its own, see models/device.py.
    distributor = TorchDistributor(num_processes=processes, local_mode=True, use_gpu=False)
    try:
        distributor.run(train, task)
    except RuntimeError:  # it names no cause; a process that knows the cause has written it to a file
        if not (task.out / MISTAKE).is_file():
            raise
    return read_record(task.out)
