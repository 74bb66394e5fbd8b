from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession

from jobs import score
from jobs.examples.requests import ranked, read_candidates, with_events
from jobs.examples.search_index import ITEM_ROWS
from lake.command import main
from lake.frames import frame_of
from lake.run import Run
from schemas.errors import UserError
from schemas.settings import load_settings

GOOD = pd.DataFrame({"user_id": ["u1", "u2"], "item_id": ["a", "b"]})


def fails(capsys: pytest.CaptureFixture[str], warehouse: Path, *arguments: str) -> str:
    capsys.readouterr()
    code = main(score.JOB, ["--warehouse", str(warehouse), *arguments])
    lines = [line for line in capsys.readouterr().err.splitlines() if not line[:2].isdigit()]
    assert code == 2
    assert len(lines) == 1, lines
    return lines[0]


def test_mistakes_are_one_line(spark: SparkSession, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    good, lame = tmp_path / "good.csv", tmp_path / "lame.csv"
    GOOD.to_csv(good, index=False)
    GOOD.rename(columns={"item_id": "sku"}).to_csv(lame, index=False)
    for arguments, message in [
        ([], "--candidates PATH is missing"),
        (["--candidates", f"{tmp_path}/none.csv"], "none.csv: no such file"),
        (["--candidates", str(lame)], "no column item_id (it has user_id, sku); map one with --rename sku=item_id"),
        (
            ["--candidates", str(good), "--rename", "sku=item_id"],
            f"--rename sku=item_id: the input {good} has no column sku",
        ),
        (["--candidates", str(good), "--as-of", "soon"], "score.as_of: must be a time"),
        (["--candidates", str(lame), "--rename", "sku=item_id"], "no ranker under"),
    ]:
        assert message in fails(capsys, tmp_path / "warehouse", *arguments)


def test_an_index_of_an_earlier_version_is_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ITEM_ROWS).write_bytes(b"")
    old = run.lake.artifacts.publish("search_index", tmp_path / "old", {"recipe": {}})
    rankers = run.lake.artifacts.publish("ranker", tmp_path / "old", {"recipe": {"search_index": old.version}})
    run.job = score.JOB
    with pytest.raises(
        UserError, match=r"was made by an earlier qarm, without behaviour_audience\.npy; run build_examples"
    ):
        score.index_of(run, rankers)


def test_rows_that_make_no_sense_are_told_apart(spark: SparkSession, tmp_path: Path) -> None:
    rows = [("u1", 7.0, "2025-01-01T10:00:00Z"), ("u1", 8.0, None), (None, 7.0, None), ("u1", 7.0, "soon")]
    frame = pd.DataFrame([*rows, ("u2", None, None)], columns=["user_id", "sku", "event_time"])
    frame.to_json(tmp_path / "asked.json", orient="records", lines=True)
    settings = load_settings((), [f'score.candidates="{tmp_path}/asked.json"', 'score.rename={sku = "item_id"}']).score
    read = read_candidates(spark, settings).selectExpr("user_id", "item_id", "string(as_of)", "complaint").collect()
    assert sorted(map(tuple, read), key=str) == [
        ("u1", "7", "2025-01-01 10:00:00", None),
        ("u1", "7", None, "unreadable_time"),
        ("u1", "8", None, None),
        ("u2", None, None, "null_item_id"),
        (None, "7", None, "null_user_id"),
    ]


def test_a_user_with_many_candidates_has_parts_with_all_events_each(spark: SparkSession) -> None:
    asked = [("u1", f"i{n}", n, 100) for n in range(10)] + [("u2", "i0", 0, 100), ("u3", "i0", 0, 100)]
    candidates = frame_of(spark, asked, "user_id string, item_id string, item_row long, time long")
    past = [("u1", n, n, 1) for n in range(4)] + [("u2", 5, 5, 1), ("u9", 6, 6, 1)]
    events = frame_of(spark, past, "user_id string, item_row long, time long, labels long")
    rows = with_events(candidates, events, 4).toPandas()
    sizes = rows.groupby(["user_id", "part"])["labels"].agg(["count", "size"])
    assert sizes["count"].to_dict() == {("u1", 0): 4, ("u1", 1): 4, ("u1", 2): 4, ("u2", 0): 1, ("u3", 0): 0}
    assert (sizes["size"] - sizes["count"]).groupby("user_id").sum().to_dict() == {"u1": 10, "u2": 1, "u3": 1}
    assert rows[rows["labels"].isna()]["item_id"].notna().all()


def test_ranks_are_by_user_and_moment_and_ties_by_item(spark: SparkSession) -> None:
    one, two = datetime(2025, 1, 1), datetime(2025, 1, 2)
    rows = [
        ("u", "b", one, 0.5),
        ("u", "a", one, 0.5),
        ("u", "c", one, 0.9),
        ("u", "a", two, 0.1),
        ("v", "a", one, 0.0),
    ]
    frame = frame_of(spark, rows, "user_id string, item_id string, as_of timestamp, s float")
    found = ranked(frame, "s").orderBy("user_id", "as_of", "rank").select("user_id", "item_id", "rank").collect()
    assert [tuple(row) for row in found] == [("u", "c", 1), ("u", "a", 2), ("u", "b", 3), ("u", "a", 1), ("v", "a", 1)]
