"""What deploy/feast takes from a published night; make test-extras builds the whole feature store over it."""

from __future__ import annotations

import runpy
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from schemas.files import ROOT

FOLDER = ROOT / "deploy" / "feast"


def test_keys_and_numbers_are_read_and_arrays_and_labels_are_not(tmp_path: Path) -> None:
    runpy.run_path(str(FOLDER / "check.py"))["a_night"](tmp_path)
    table = runpy.run_path(str(FOLDER / "snapshot.py"))["features"](DeltaTable(str(tmp_path / "ranker_examples")))
    assert table.column_names == [
        "user_id", "item_id", "event_time", "item_events", "similarity_best", "similarity_mean",
    ]  # fmt: skip
    assert table.column("similarity_best").to_pylist() == [0.5, 0.75]
    assert table.schema.field("similarity_mean").type == pa.float32()


def test_of_a_table_only_the_published_version_is_seen(tmp_path: Path) -> None:
    runpy.run_path(str(FOLDER / "check.py"))["a_night"](tmp_path)
    seen = runpy.run_path(str(FOLDER / "snapshot.py"))["published"](tmp_path, "semantic_ids")
    assert sorted(seen.to_pyarrow_table()["item_id"].to_pylist()) == ["apple", "pear"]
