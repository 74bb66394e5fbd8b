"""What the processes of a training tell the job that started them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.training.processes import in_processes
from models.processes import as_one_of_many
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
