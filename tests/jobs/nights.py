"""Nights of codes over embeddings that are set by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from jobs import assign_semantic_ids, fit_codebook
from lake.artifacts import Artifact
from lake.execution import new_run_id, run_job
from lake.frames import frame_of
from lake.lake import Lake
from schemas.settings import load_settings
from schemas.tables import ITEM_EMBEDDINGS
from tests.generate import clustered
from tests.warehouses import copy_folder

SMALL = [
    "codebook.kmeans.sizes=[6, 4]",
    "codebook.fsq.levels=[2, 2, 2]",
    "codebook.fsq.hidden=16",
    "codebook.fsq.steps=100",
    "codebook.neighbours=3",
    "codebook.refit_after=20",
]
CONTENTS = 240


class Night:
    """A warehouse whose embeddings are set by hand, and the two jobs over it."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake = lake
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "nothing").write_text("")
        self.encoder = lake.artifacts.publish("encoder", folder, {"recipe": {}})
        self.vectors: dict[str, tuple[str, np.ndarray]] = {}
        self.metrics: dict[str, float] = {}

    def put(self, item: str, vector: np.ndarray, content: str | None = None) -> None:
        self.vectors[item] = (content or f"content {item}", vector)

    def write(self, partitions: int = 3) -> None:
        rows = [
            (item, vector.tolist(), vector[:4].tolist(), vector[:4].tolist(), content, self.encoder.version)
            for item, (content, vector) in self.vectors.items()
        ]
        frame = frame_of(self.lake.spark, rows, ITEM_EMBEDDINGS.schema).repartition(partitions)
        self.lake.warehouse.overwrite(ITEM_EMBEDDINGS, frame)

    def run(self, *assignments: str, fit: bool = True, assign: bool = True) -> dict[str, float]:
        lake = Lake(self.lake.spark, load_settings((), [*SMALL, *assignments]), self.lake.location)
        metrics: dict[str, float] = {}
        for job in [fit_codebook.JOB] * fit + [assign_semantic_ids.JOB] * assign:
            metrics |= run_job(lake, job, new_run_id()).metrics
        return metrics

    def copy(self, lake: Lake, folder: Path) -> Night:
        """A night whose warehouse is as this one's is now, to write to.

        Args:
            lake: the copied warehouse, in the folder.
            folder: a folder that does not exist yet.
        """
        copy_folder(self.lake.location, folder)
        other = copy.copy(self)
        other.lake, other.vectors, other.metrics = lake, dict(self.vectors), dict(self.metrics)
        return other

    def sids(self) -> pd.DataFrame:
        return self.lake.warehouse.read("semantic_ids").toPandas().set_index("item_id").sort_index()

    def changes(self) -> pd.DataFrame:
        return self.lake.warehouse.read("sid_changes").toPandas()

    def told(self) -> pd.DataFrame:
        """What is recorded of the newest version."""
        changes = self.changes()
        return changes[changes["table_version"] == self.lake.warehouse.version("semantic_ids")].set_index("item_id")

    @property
    def codebook(self) -> Artifact:
        return self.lake.artifacts.require("codebook", "fit_codebook")


def unpublished(make_lake: Callable[..., Lake], folder: Path, *, dimension: int = 16, partitions: int = 3) -> Night:
    made = Night(make_lake(location=str(folder / "warehouse")), folder / "encoder")
    for i, vector in enumerate(clustered(CONTENTS, dimension)):
        made.put(f"i{i:03d}", vector)
    made.write(partitions)
    return made


def code_columns(table: pd.DataFrame) -> list[list[int]]:
    return [[a, b, c, *more] for a, b, c, more in table[["sid_1", "sid_2", "sid_3", "sid_more"]].to_numpy()]
