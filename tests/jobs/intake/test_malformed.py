"""Where malformed rows are, also in files that several tasks read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs.intake.inputs import read_inputs
from jobs.intake.malformed import malformed_rows
from schemas.settings import load_settings
from tests.jobs.intake.odd import ITEMS, Files

BAD = (1, 700, 2500)
"""Numbers of the malformed rows, from 1."""


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_malformed_row_has_its_file_its_number_and_its_text(form: str, spark: SparkSession, tmp_path: Path) -> None:
    files = Files(tmp_path)
    texts = [
        f"u{n},p1,2025-01-05T06:00:00Z"
        if form == "csv"
        else json.dumps({"user_id": f"u{n}", "item_id": "p1", "event_time": "2025-01-05T06:00:00Z"})
        for n in range(3000)
    ]
    for number in BAD:
        texts[number - 1] = f"row {number} is cut"
    header = ["user_id,item_id,event_time"] if form == "csv" else []
    log = files.text(f"my log/a+b 100%.{form}", "\n".join([*header, *texts]) + "\n")
    items = files.csv("items.csv", ITEMS)
    given = load_settings((), [f'ingest.interactions="{log.parent}"', f'ingest.items="{items}"'])
    before = spark.conf.get("spark.sql.files.maxPartitionBytes")
    spark.conf.set("spark.sql.files.maxPartitionBytes", "20000")
    try:
        (part,) = read_inputs(spark, given.ingest)[0].parts
        assert part.rows.rdd.getNumPartitions() > 3
        rows = [json.loads(row["row"]) for row in malformed_rows(part).collect()]
    finally:
        spark.conf.set("spark.sql.files.maxPartitionBytes", before or "128MB")
    assert sorted((row["number"], row["text"]) for row in rows) == [(n, f"row {n} is cut") for n in BAD]
    assert {row["file"].removeprefix("file:") for row in rows} == {str(log)}


def test_what_was_told_from_the_files_is_said_in_one_line(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="qarm")
    files = Files(tmp_path)
    files.text("log/1.csv", "USER_ID;item_id;event_time;page\nu1;p1;2025-01-05;x\n")
    files.text("log/2.csv", "item_id;USER_ID;event_time\np1;u1;2025-01-05\n")
    files.text("log/README.txt", "read me")
    items = files.csv("items.csv", ITEMS)
    given = load_settings((), [f'ingest.interactions="{tmp_path}/log"', f'ingest.items="{items}"'])
    read_inputs(spark, given.ingest)
    line = next(record.getMessage() for record in caplog.records if "--interactions" in record.getMessage())
    for words in (
        "csv, 2 files", "semicolon-separated, doubled quotes, utf-8", "2 kinds of files", "USER_ID is read as user_id",
        "left out: README.txt",
    ):  # fmt: skip
        assert words in line
