"""Readers that look at what is published all the while, and find out whether it is ever a mixture of nights."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import deltalake
from pyspark.sql import SparkSession

from lake.lake import Lake
from lake.views import bring_into_scope
from schemas.settings import load_settings
from schemas.tables import all_contracts
from tests.faults.tally import DONE


class Reader:
    """Polls a warehouse from a thread, until it leaves the context.

    It reads as a program without Spark does, by ``published.json``; with a session, it also reads the views by SQL.

    Attributes:
        mixtures: what was wrong with what it saw.
        nights: ids of the nights that it saw.
        polls: number of times it looked at a whole night.

    Args:
        warehouse: the warehouse.
        spark: a session; None to read without Spark.
    """

    def __init__(self, warehouse: Path, spark: SparkSession | None = None) -> None:
        self._warehouse, self._spark = warehouse, spark
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)
        self.mixtures: list[str] = []
        self.nights: list[str] = []
        self.polls = 0

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        DONE["polls by readers"] += self.polls

    def sees(self, count: int, seconds: float = 120) -> bool:
        """Waits until it has seen a number of nights, and looked once more; whether it did."""
        ends = time.monotonic() + seconds
        while len(self.nights) < count and time.monotonic() < ends:
            time.sleep(0.1)
        polls = self.polls
        while self.polls < polls + 2 and time.monotonic() < ends:
            time.sleep(0.1)
        return len(self.nights) == count

    def _poll(self) -> None:
        while not self._ended.wait(0.2 if self._spark is None else 3):
            if not (self._warehouse / "published.json").exists():
                continue
            try:
                self._read_files()
                if self._spark is not None:
                    self._read_views(self._spark)
            except Exception as error:  # a reader that fails has found a fault, too
                self.mixtures.append(f"{type(error).__name__}: {error}"[:500])
            self.polls += 1

    def _read_files(self) -> None:
        told = json.loads((self._warehouse / "published.json").read_text())
        read = {
            name: deltalake.DeltaTable(table["path"].removeprefix("file:"), version=table["version"])
            for name, table in told["tables"].items()
        }
        codes, items = (set(read[name].to_pandas()["item_id"]) for name in ("semantic_ids", "items"))
        scored = set(read["predictions"].to_pandas()["example_id"])
        examples = set(read["ranker_examples"].to_pandas()["example_id"])
        nights = deltalake.DeltaTable(str(self._warehouse / "published")).to_pandas().set_index("run_id")
        versions = dict(nights.loc[told["run_id"], "versions"])
        own = {name: str(table["version"]) for name, table in {**told["tables"], **told["artifacts"]}.items()}
        if codes != items or not scored <= examples or not scored or own != versions:
            self.mixtures.append(told["run_id"])
        if told["run_id"] not in self.nights:
            self.nights.append(told["run_id"])

    def _read_views(self, spark: SparkSession) -> None:
        lake = Lake(spark, load_settings(), str(self._warehouse))
        night = lake.published.current()
        assert night is not None
        bring_into_scope(lake.warehouse, [c.name for c in all_contracts(["click"])], night.versions)
        without = spark.sql("SELECT count(*) FROM item_codes WHERE sid IS NULL").collect()[0][0]
        items, coded = (
            spark.sql(query).collect()[0][0]
            for query in ("SELECT count(*) FROM item_codes", "SELECT sum(items) FROM sid_occupancy WHERE level = 1")
        )
        strange = spark.sql("SELECT p.* FROM predictions p LEFT ANTI JOIN ranker_examples USING (example_id)").count()
        if without or items != coded or strange:
            self.mixtures.append(f"views of {night.run_id}: {without} {items} {coded} {strange}")
