"""Values whose meaning must not change unsaid, formats that contradict their names, and paths with every character."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
from deltalake import write_deltalake
from pyspark.sql import SparkSession

from tests.jobs.intake.odd import ITEMS, LOG, Files, Make, Odd, arrow, cases_of, check, each, iso, odd, with_column


def with_times(*texts: str) -> pd.DataFrame:
    """A log whose first rows have these texts as times."""
    return iso(LOG).assign(event_time=[*texts, *iso(LOG)["event_time"][len(texts) :]])


@odd
def time_of_day(files: Files) -> Odd:
    log = iso(LOG).assign(event_time=[time.strftime("%H:%M:%S") for time in LOG["event_time"]])
    return files.odd(files.csv("log.csv", log), events=LOG[:0], rejected={"unreadable_time": 8})


UNREADABLE = ["31/12/2024 10:00", "2025-02-30", "NaT", "10:15", "2025", "2025-01", "Sunday", "292277026596-12-04"]


@odd
def texts_that_are_no_times(files: Files) -> Odd:
    log = with_times(*UNREADABLE)
    # A year alone is a number of seconds, which lies before ingest.earliest.
    rejected = {"unreadable_time": 7, "impossible_time": 1}
    return files.odd(files.csv("log.csv", log), events=LOG[:0], rejected=rejected)


@odd
def times_that_are_impossible(files: Files) -> Odd:
    log = with_times("9999-12-31 23:59:59", "0001-01-01", "1899-12-30", "1970-01-01T00:00:00Z", "20250110", "0", "-1")
    return files.odd(files.csv("log.csv", log), events=LOG[7:], rejected={"impossible_time": 7})


@each(
    blank="2025-01-05 06:00:00", t="2025-01-05T06:00:00", z="2025-01-05T06:00:00Z", utc="2025-01-05 06:00:00 UTC",
    offset="2025-01-05T08:00:00+02:00", short="2025-01-05 07:00:00+0100", hours="2025-01-05 07:00:00+01",
    fraction="2025-01-05T06:00:00.000", nanoseconds="2025-01-05 06:00:00.000000000", minutes="2025-01-05 06:00",
    comma="2025-01-05 06:00:00,000", narrow="2025-1-5 6:00:00", seconds="1736056800", milliseconds="1736056800000",
    float="1736056800.0", scientific="1.7360568e9",
)  # fmt: skip
def times_that_are_written(files: Files, text: str) -> Odd:
    return files.odd(files.csv("log.csv", with_times(text)))


@odd
def times_by_pattern(files: Files) -> Odd:
    log = iso(LOG).assign(event_time=[time.strftime("%d/%m/%Y %H:%M:%S") for time in LOG["event_time"]])
    return files.odd(files.csv("log.csv", log), options=["interactions_files.time_format=dd/MM/yyyy HH:mm:ss"])


@odd
def date_alone(files: Files) -> Odd:
    events = LOG.assign(event_time=LOG["event_time"].dt.floor("D"))
    log = iso(LOG).assign(event_time=[time.strftime("%Y-%m-%d") for time in LOG["event_time"]])
    return files.odd(files.csv("log.csv", log), events=events)


@odd
def weights(files: Files) -> Odd:
    values = [-2.0, 0.0, float("nan"), float("inf"), 1e30, None, -0.0, 2.5]
    log = files.parquet(
        "log.parquet", with_column(arrow(LOG), "weight", pa.array(values, pa.float64(), from_pandas=False))
    )
    return files.odd(
        log, events=LOG.drop(index=[0, 2, 3]), weights=[0, 1e30, 1, 0, 2.5], rejected={"impossible_weight": 3}
    )


@odd
def weights_as_text(files: Files) -> Odd:
    log = iso(LOG).assign(weight=["1", "2.5", "", "many", "1e2", "-1", "0", "NaN"])
    rejected = {"unreadable_weight": 1, "impossible_weight": 2}
    right = {"events": LOG.drop(index=[3, 5, 7]), "weights": [1, 2.5, 1, 100, 0], "rejected": rejected}
    return files.odd(files.csv("log.csv", log), **right)


@odd
def labels(files: Files) -> Odd:
    log = iso(LOG).drop(columns="action").assign(label=["1", "0", "true", "false", "1.0", "yes", "", "2"])
    actions = ["click", "impression", "click", "impression", "click", None, None, "click"]
    events = LOG.assign(action=actions).drop(index=[5, 6])
    return files.odd(files.csv("log.csv", log), events=events, rejected={"unreadable_label": 2})


@odd
def label_beside_action(files: Files) -> Odd:
    return files.odd(files.csv("log.csv", iso(LOG).assign(label="0")))


@odd
def blanks_around_values(files: Files) -> Odd:
    log = iso(LOG).assign(user_id=[f" {user} " for user in LOG["user_id"]], action=[f"{a} " for a in LOG["action"]])
    return files.odd(files.csv("log.csv", log))


@odd
def action_of_another_name(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG).rename(columns={"action": "event_type"}))
    return files.odd(log, events=LOG.assign(action="click"))


@odd
def default_action_by_setting(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG).drop(columns="action"))
    return files.odd(log, options=["default_action=buy"], events=LOG.assign(action="buy"))


def delta(files: Files, name: str, table: pa.Table) -> Path:
    write_deltalake(str(files.path(name)), table)
    return files.folder / name


@odd
def delta_table(files: Files) -> Odd:
    old = arrow(LOG.assign(user_id="gone"))
    write_deltalake(str(files.path("log")), old)
    write_deltalake(str(files.path("log")), arrow(LOG), mode="overwrite")
    return files.odd(files.folder / "log", delta(files, "items", arrow(ITEMS)))


@odd
def delta_table_read_as_parquet(files: Files) -> Odd:
    log = delta(files, "log", arrow(LOG))
    return files.odd(log, options=["format=parquet"], refused="is a Delta table.*set --interactions-format to delta")


@odd
def parquet_read_as_delta(files: Files) -> Odd:
    files.parquet("log/1.parquet", arrow(LOG))
    return files.odd(files.folder / "log", options=["format=delta"], refused="is no Delta table")


@odd
def each_input_in_its_own_format(files: Files) -> Odd:
    options = ["interactions_files.format=delta", "items_files.format=csv"]
    return files.odd(delta(files, "log", arrow(LOG)), files.csv("items.txt", ITEMS), options=options)


@each(iceberg=("metadata/v1.metadata.json", "data/1.parquet"), hudi=(".hoodie/hoodie.properties", "1.parquet"))
def tables_of_other_kinds(files: Files, names: tuple[str, str]) -> Odd:
    files.text(f"log/{names[0]}", "{}")
    files.parquet(f"log/{names[1]}", arrow(LOG))
    return files.odd(files.folder / "log", refused="whose files hold rows of the past too")


@each(
    brackets="log[1].csv", braces="log{1,2}.csv", star="log*.csv", question="log?.csv", blank="my log.csv",
    percent="log%20100%.csv", plus="a+b.csv", equals="day=5.csv", accent="données.csv",
    quote="it's.csv", hash="log#1.csv", comma="a,b.csv", backtick="a`b.csv", dollar="$log.csv", ampersand="a&b;c.csv",
)  # fmt: skip
def names_of_files(files: Files, name: str) -> Odd:
    files.csv("log1.csv", iso(LOG.assign(user_id="another")))
    return files.odd(files.csv(name, iso(LOG)))


@odd
def colon_in_the_name_of_a_file(files: Files) -> Odd:
    log = files.csv("log:12:30.csv", iso(LOG))
    return files.odd(log, refused=r"log:12:30\.csv: Hadoop cannot open it; rename it")


@each(brackets="logs [2025]", percent="100% a+b", equals="day=1/x", colon="12:30", braces="{a}", hash="#1")
def names_of_folders(files: Files, name: str) -> Odd:
    files.parquet(f"{name}/1.parquet", arrow(LOG[:4]))
    files.parquet(f"{name}/2.parquet", arrow(LOG[4:].reset_index(drop=True)))
    return files.odd(files.folder / name)


@each(csv="a.csv", json="a.json")
def text_files_in_odd_folders(files: Files, name: str) -> Odd:
    rows = iso(LOG)
    text = rows.to_json(orient="records", lines=True) if name.endswith("json") else rows.to_csv(index=False)
    files.text(f"my [odd] {{folder}} 100% day=5/{name}", text)
    return files.odd(files.folder / "my [odd] {folder} 100% day=5")


@odd
def wildcard(files: Files) -> Odd:
    files.csv("log1.csv", iso(LOG))
    return files.odd(files.folder / "log*.csv", refused=r"no such file or folder \(a path means itself")


@odd
def missing_file(files: Files) -> Odd:
    return files.odd(files.folder / "none.csv", refused=r"none\.csv: no such file or folder$")


@odd
def file_system_that_is_unknown(files: Files) -> Odd:
    return files.odd(Path("abc://bucket/log.csv"), refused="abc:")


@odd
def trailing_slash(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG))
    return files.odd(Path(f"{files.folder}/log/"))


@odd
def every_row_once_more(files: Files) -> Odd:
    log = pd.concat([LOG, LOG])
    return files.odd(files.csv("log.csv", iso(log)), events=log, rows=20)


@odd
def event_tomorrow_and_next_year(files: Files) -> Odd:
    # The harness's present is 2026-01-01.
    log = with_times("2026-01-01T12:00:00Z", "2027-01-01T00:00:00Z")
    events = LOG.assign(event_time=[datetime(2026, 1, 1, 12, tzinfo=UTC), *LOG["event_time"][1:]]).drop(index=1)
    return files.odd(files.csv("log.csv", log), events=events, rejected={"impossible_time": 1})


@cases_of(__name__)
def test_meaning_and_paths(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    check(spark, make(Files(tmp_path)))
