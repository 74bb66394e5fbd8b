"""What a Python worker sets up once, before its first batch."""

from __future__ import annotations

from pathlib import Path

import faiss
import torch
from pyspark import SparkFiles, TaskContext


def shipped(name: str) -> Path:
    """The local path of files that the driver shipped.

    Args:
        name: what ``Artifacts.ship`` returned, or the name of a file given to ``SparkContext.addFile``.
    """
    return Path(name) if Path(name).is_absolute() else Path(SparkFiles.get(name))


def use_task_cores() -> None:
    """Keeps torch and faiss to the cores that Spark gave the task."""
    context = TaskContext.get()
    cores = context.cpus() if context else 1
    torch.set_num_threads(cores)
    faiss.omp_set_num_threads(cores)
