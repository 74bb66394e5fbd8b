"""Builds the feature store over a small published night, materializes it, and reads it online and offline.

make test-extras
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake

HERE = Path(__file__).parent

MOMENT = datetime(2024, 5, 1, 12, tzinfo=UTC)


def a_night(folder: Path) -> Path:
    """A warehouse whose published version of a table is not the newest one."""
    times = pa.array([MOMENT, MOMENT], pa.timestamp("us", "UTC"))
    codes = {"item_id": ["apple", "pear"], "sid_1": [1, 1], "sid_2": [2, 3], "sid_3": [7, 8], "sid": ["1-2-7", "1-3-8"]}
    table = pa.table({**codes, "assigned_at": times})
    for name in ("sid_1", "sid_2", "sid_3"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int32()))
    write_deltalake(str(folder / "semantic_ids"), table)
    write_deltalake(str(folder / "semantic_ids"), table.slice(0, 1), mode="overwrite")
    examples = pa.table({
        "user_id": ["ann", "bob"], "item_id": ["apple", "pear"], "event_time": times, "label_click": [1.0, 0.0],
        "log_q": pa.array([-9.0, -8.0], pa.float32()),
        "item_events": pa.array([5, 9], pa.int32()), "recent_item": [[1, 2], [3, 4]],
        "similarity": pa.array([{"best": 0.5, "mean": 0.25}, {"best": 0.75, "mean": 0.5}],
                               pa.struct([("best", pa.float32()), ("mean", pa.float32())])),
    })  # fmt: skip
    write_deltalake(str(folder / "ranker_examples"), examples)
    tables = {name: {"path": f"file:{folder}/{name}", "version": 0} for name in ("semantic_ids", "ranker_examples")}
    (folder / "published.json").write_text(json.dumps({"tables": tables}), encoding="utf-8")
    return folder


def main() -> None:
    """Raises AssertionError if a read does not give what the night holds."""
    with tempfile.TemporaryDirectory(prefix="qarm-feast-") as scratch:
        store, warehouse = Path(scratch) / "store", Path(scratch) / "warehouse"
        shutil.copytree(HERE, store, ignore=shutil.ignore_patterns("data", "__pycache__"))
        warehouse.mkdir()
        (store / "data").mkdir()
        subprocess.run([sys.executable, str(store / "snapshot.py"), str(a_night(warehouse))], check=True)
        feast = str(Path(sys.executable).parent / "feast")
        subprocess.run([feast, "apply"], cwd=store, check=True)
        ends = [moment.strftime("%Y-%m-%dT%H:%M:%S") for moment in (MOMENT - timedelta(1), MOMENT + timedelta(1))]
        subprocess.run([feast, "materialize", *ends], cwd=store, check=True)
        read(store)
    print("feast: codes and features were materialized, and read online and offline")


def read(store: Path) -> None:
    """Reads the store in both ways."""
    from feast import FeatureStore

    found = FeatureStore(repo_path=str(store))
    known = {field.name for field in found.get_feature_view("ranker_features").schema}
    assert not known & {"label_click", "log_q"}, known
    wanted = ["semantic_ids:sid", "semantic_ids:sid_1"]
    online = found.get_online_features(wanted, [{"item_id": "pear"}, {"item_id": "none"}]).to_dict()
    assert online["sid"] == ["1-3-8", None], online
    assert online["sid_1"] == [1, None], online
    pair = [{"user_id": "bob", "item_id": "pear"}]
    numbers = found.get_online_features(
        ["ranker_features:item_events", "ranker_features:similarity_best"], pair
    ).to_dict()
    assert (numbers["item_events"], numbers["similarity_best"]) == ([9], [0.75]), numbers
    asked = pd.DataFrame({"user_id": ["ann"], "item_id": ["apple"], "event_timestamp": [MOMENT + timedelta(hours=1)]})
    names = [*wanted, "ranker_features:similarity_mean"]
    offline = found.get_historical_features(entity_df=asked, features=names).to_df().iloc[0]
    assert (offline["sid"], offline["similarity_mean"]) == ("1-2-7", 0.25), offline


if __name__ == "__main__":
    main()
