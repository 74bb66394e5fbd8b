"""Set-up of a Python worker: shipped files, number of threads, and the GPU."""

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


def use_task_gpu() -> None:
    """Makes the GPU that Spark gave the task torch's current one, before a worker loads a network.

    A network stays on the GPU that it was loaded on, also in later tasks of the worker. Where Spark gives out no GPUs,
    or names them otherwise than by number, torch takes the first one it finds.
    """
    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context else None
    if gpu is not None and gpu.addresses[0].isdigit() and torch.cuda.is_available():
        torch.cuda.set_device(int(gpu.addresses[0]))
