"""What all jobs of a process share: Spark, the settings and one warehouse."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import SparkSession

from lake.artifacts import Artifacts
from lake.hadoop import HadoopFiles
from lake.ledger import Ledger
from lake.night_lock import NightLock
from lake.published import Published
from lake.warehouse import Warehouse
from schemas.settings import Settings


@dataclass
class Lake:
    """Spark, the settings and one warehouse, shared by all jobs of a process.

    Attributes:
        spark: the session.
        settings: all settings.
        location: folder or ``catalog.schema`` of the warehouse.
        from_scratch: whether jobs do all of their work again and take over nothing from earlier nights.
        lock: what the nightly of this process holds the warehouse by; None outside of one.
    """

    spark: SparkSession
    settings: Settings
    location: str
    from_scratch: bool = False
    lock: NightLock | None = None

    @property
    def goes_on(self) -> bool:
        """Whether jobs go on from what earlier nights made."""
        return self.settings.increments.on and not self.from_scratch

    def assert_held(self) -> None:
        """Checks that the night whose job this is still holds the warehouse, before something is made known to others.

        Raises:
            QarmError: another nightly took this one for dead.
        """
        if self.lock is not None:
            self.lock.assert_held()

    def __post_init__(self) -> None:
        self.warehouse = Warehouse(self.spark, self.location)
        self.files = HadoopFiles(self.spark)
        self.artifacts = Artifacts(self.spark, self.warehouse.root)
        self.ledger = Ledger(self.warehouse)
        self.published = Published(self.warehouse, self.artifacts)
