"""What the processes of a training tell the job that started them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from pyspark.sql import SparkSession

from jobs.training import processes
from jobs.training.processes import in_processes
from models.processes import RECORD, as_one_of_many
from models.world import World


@dataclass(frozen=True)
class Task:
    out: Path


def fail(task: Task) -> None:
    def work(world: World) -> None:
        if world.rank == 1:
            raise FloatingPointError("the loss of step 3 is nan; lower the learning rate")

    as_one_of_many(work, task.out)


def test_a_mistake_in_one_of_sparks_processes_is_told_in_its_own_words(spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^the loss of step 3 is nan; lower the learning rate$"):
        in_processes(fail, Task(tmp_path), 2)


def test_processes_find_their_gpus_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spark's distributor would ask for GPUs that a driver does not declare, and start fewer processes."""
    asked: dict[str, object] = {}

    class Distributor:
        def __init__(self, **options: object) -> None:
            asked.update(options)

        def run(self, train: object, task: Task) -> None:
            (task.out / RECORD).write_text("{}")

    monkeypatch.setattr(processes, "TorchDistributor", Distributor)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert in_processes(fail, Task(tmp_path), 2) == {}
    assert asked == {"num_processes": 2, "local_mode": True, "use_gpu": False}
