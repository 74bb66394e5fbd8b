"""A property: whatever ids, times and texts a table holds, each format and dialect gives them back as they were."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import SparkSession

from tests.jobs.intake.odd import Files, Odd, arrow, check, csv_text, iso, titles_of

TABLES = 3
"""Tables for each way of writing: each is read by several Spark jobs."""

LETTERS = st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffd")
"""All of Unicode but surrogates, control characters, the byte order mark, and what stands for undecodable bytes."""

TEXTS = st.text(st.one_of(LETTERS, st.sampled_from("\"',;|\\\t\n {}[]$#=:")), min_size=1, max_size=12).map(
    lambda text: text.strip(" ")
)

IDS = st.one_of(
    TEXTS, st.integers(0, 2**63 - 1).map(str), st.sampled_from(["007", "1e5", "null", "NaN", "0x1F", "1.10"])
)


def usable(text: str) -> bool:
    """Whether a text is neither blank nor one of those that stand for no value or for MongoDB's types."""
    return text.strip() == text != "" and text != "\\N" and not text.startswith("{")


@st.composite
def tables(draw: st.DrawFn) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A log and a catalogue of random ids, times and texts."""
    items = draw(st.lists(IDS.filter(usable), min_size=2, max_size=4, unique=True))
    users = draw(st.lists(IDS.filter(usable), min_size=2, max_size=3, unique=True))
    titles = draw(st.lists(TEXTS.filter(usable), min_size=len(items), max_size=len(items)))
    pairs = list(itertools.product(users, items))
    seconds = draw(st.lists(st.integers(700_000_000, 1_700_000_000), min_size=len(pairs), max_size=len(pairs)))
    log = pd.DataFrame(pairs, columns=["user_id", "item_id"])
    times = pd.Series([datetime.fromtimestamp(second, UTC) for second in seconds])
    log["event_time"] = times.astype("datetime64[us, UTC]")
    return log.assign(action="click"), pd.DataFrame({"item_id": items, "title": titles})


Write = Callable[[Files, str, pd.DataFrame], Path]


def as_csv(separator: str, end: str, encoding: str) -> Write:
    def write(files: Files, name: str, frame: pd.DataFrame) -> Path:
        plain = iso(frame) if "event_time" in frame else frame
        return files.text(f"{name}.csv", csv_text(plain, sep=separator, lineterminator=end), encoding)

    return write


def as_json(files: Files, name: str, frame: pd.DataFrame) -> Path:
    plain = iso(frame) if "event_time" in frame else frame
    rows = (json.dumps(row, ensure_ascii=False) for row in plain.to_dict(orient="records"))
    return files.text(f"{name}.json", "\n".join(rows))


def as_array(files: Files, name: str, frame: pd.DataFrame) -> Path:
    plain = iso(frame) if "event_time" in frame else frame
    return files.text(f"{name}.json", json.dumps(plain.to_dict(orient="records"), indent=1))


def as_parquet(unit: str) -> Write:
    def write(files: Files, name: str, frame: pd.DataFrame) -> Path:
        table = arrow(frame)
        if "event_time" in frame:
            place = table.schema.get_field_index("event_time")
            table = table.set_column(place, "event_time", table["event_time"].cast(pa.timestamp(unit)))
        return files.parquet(f"{name}.parquet", table)

    return write


WAYS: dict[str, Write] = {
    "comma": as_csv(",", "\n", "utf-8"),
    "tab and CRLF": as_csv("\t", "\r\n", "utf-8"),
    "semicolon and a mark": as_csv(";", "\n", "utf-8-sig"),
    "bar in UTF-16": as_csv("|", "\r\n", "utf-16"),
    "JSON lines": as_json,
    "JSON array": as_array,
    "Parquet in nanoseconds": as_parquet("ns"),
    "Parquet in milliseconds": as_parquet("ms"),
}


@pytest.mark.parametrize("write", WAYS.values(), ids=WAYS.keys())
def test_every_table_comes_back(write: Write, spark: SparkSession, tmp_path: Path) -> None:
    folders = itertools.count()

    @settings(
        max_examples=TABLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
    )  # fmt: skip
    @given(tables())
    def comes_back(made: tuple[pd.DataFrame, pd.DataFrame]) -> None:
        log, items = made
        files = Files(tmp_path / str(next(folders)))
        paths = write(files, "log", log), write(files, "items", items)
        check(spark, Odd(*paths, events=log, titles=titles_of(items), rows=len(log) + len(items)))

    comes_back()
