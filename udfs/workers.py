"""Set-up of a Python worker: shipped files and number of threads."""

from __future__ import annotations

from pathlib import Path

import faiss
import torch
from pyspark import SparkFiles, TaskContext


def shipped(name: str) -> Path:
    """The local path of files that the driver shipped.

    Args:
        name: the result of ``Artifacts.ship``, or the name of a file that was given to ``SparkContext.addFile``.
    """
    return Path(name) if Path(name).is_absolute() else Path(SparkFiles.get(name))


def use_task_cores() -> None:
    """Limits torch and faiss to the number of cores of the Spark task."""
    context = TaskContext.get()
    cores = context.cpus() if context else 1
    torch.set_num_threads(cores)
    faiss.omp_set_num_threads(cores)
