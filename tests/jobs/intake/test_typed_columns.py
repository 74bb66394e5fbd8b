"""Parquet as pandas, Oracle, Snowflake, Hive and Spark write it: ids, times and texts of every type."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from tests.jobs.intake.odd import (
    ITEMS,
    LOG,
    NUMBERED_ITEMS,
    NUMBERED_LOG,
    NUMBERED_TITLES,
    START,
    Files,
    Make,
    Odd,
    arrow,
    cases_of,
    check,
    each,
    iso,
    odd,
    titles_of,
    with_column,
)


def numbered(files: Files, log: pa.Table, **right: object) -> Odd:
    """A case whose log has numbers as ids, beside a catalogue of texts."""
    right = {"events": NUMBERED_LOG, "titles": NUMBERED_TITLES, **right}
    return files.odd(files.parquet("log.parquet", log), files.csv("items.csv", NUMBERED_ITEMS), **right)


def with_ids(kind: pa.DataType, as_value: type = int) -> pa.Table:
    table = arrow(NUMBERED_LOG)
    for name in ("user_id", "item_id"):
        table = with_column(table, name, pa.array([as_value(v) for v in NUMBERED_LOG[name]], kind))
    return table


@odd
def pandas_default(files: Files) -> Odd:
    log = LOG.assign(event_time=LOG["event_time"].dt.tz_localize(None).astype("datetime64[ns]"))
    log.to_parquet(files.path("log.parquet"))
    ITEMS.to_parquet(files.path("items.parquet"))
    return files.odd(files.folder / "log.parquet", files.folder / "items.parquet")


@odd
def pandas_index(files: Files) -> Odd:
    ITEMS.sample(frac=1, random_state=1).to_parquet(files.path("items.parquet"))
    return files.odd(None, files.folder / "items.parquet", attributes={"p1": {"price": "20.00"}})


@each(int16=pa.int16(), int64=pa.int64(), uint32=pa.uint32(), uint64=pa.uint64())
def whole_numbers(files: Files, kind: pa.DataType) -> Odd:
    return numbered(files, with_ids(kind))


@each(oracle=pa.decimal128(38, 10), scale_0=pa.decimal128(38, 0), money=pa.decimal128(12, 2))
def decimals(files: Files, kind: pa.DataType) -> Odd:
    return numbered(files, with_ids(kind, Decimal))


@each(double=pa.float64(), float=pa.float32())
def floats(files: Files, kind: pa.DataType) -> Odd:
    return numbered(files, with_ids(kind, float))


@odd
def floats_of_which_some_are_none(files: Files) -> Odd:
    users = [float(v) for v in NUMBERED_LOG["user_id"]]
    users[2] = users[5] = float("nan")
    log = with_column(with_ids(pa.float64(), float), "user_id", pa.array(users, pa.float64()))
    return numbered(files, log, events=NUMBERED_LOG.drop(index=[2, 5]), rejected={"null_user_id": 2})


@odd
def floats_too_large_to_be_ids(files: Files) -> Odd:
    users = [float(v) for v in NUMBERED_LOG["user_id"]]
    users[3] = 1850000000000000001.0
    log = with_column(with_ids(pa.float64(), float), "user_id", pa.array(users, pa.float64()))
    return numbered(files, log, events=NUMBERED_LOG.drop(index=3), rejected={"rounded_user_id": 1})


@odd
def infinite_id(files: Files) -> Odd:
    users = [float(v) for v in NUMBERED_LOG["user_id"]]
    users[3] = float("inf")
    log = with_column(with_ids(pa.float64(), float), "user_id", pa.array(users, pa.float64()))
    return numbered(files, log, events=NUMBERED_LOG.drop(index=3), rejected={"rounded_user_id": 1})


@odd
def numbers_beyond_bigint(files: Files) -> Odd:
    large = {item: str(2**63 + int(item)) for item in NUMBERED_ITEMS["item_id"]}
    log, items = (frame.replace({"item_id": large}) for frame in (NUMBERED_LOG, NUMBERED_ITEMS))
    tables = [
        with_column(arrow(frame), "item_id", pa.array([int(v) for v in frame["item_id"]], pa.uint64()))
        for frame in (log, items)
    ]
    titles = titles_of(items)
    paths = [files.parquet(name, table) for name, table in zip(("log.parquet", "items.parquet"), tables, strict=True)]
    return files.odd(*paths, events=log, titles=titles)


@odd
def dictionaries_and_large_strings(files: Files) -> Odd:
    table = with_column(arrow(LOG), "user_id", pa.array(LOG["user_id"]).dictionary_encode())
    table = with_column(table, "action", table["action"].cast(pa.large_string()))
    return files.odd(files.parquet("log.parquet", table))


@each(raw=pa.binary(16), variable=pa.binary())
def uuids_as_bytes(files: Files, kind: pa.DataType) -> Odd:
    ids = {user: uuid.uuid5(uuid.NAMESPACE_DNS, user) for user in LOG["user_id"]}
    log = with_column(arrow(LOG), "user_id", pa.array([ids[user].bytes for user in LOG["user_id"]], kind))
    events = LOG.assign(user_id=[str(ids[user]) for user in LOG["user_id"]])
    return files.odd(files.parquet("log.parquet", log), events=events)


@odd
def texts_as_bytes(files: Files) -> Odd:
    log = arrow(LOG)
    for name in ("user_id", "item_id", "action"):
        log = with_column(log, name, log[name].cast(pa.binary()))
    return files.odd(files.parquet("log.parquet", log))


@odd
def other_bytes_are_hexadecimal(files: Files) -> Odd:
    log = with_column(arrow(LOG), "user_id", pa.array([bytes([255, int(u[1:])]) for u in LOG["user_id"]], pa.binary()))
    return files.odd(
        files.parquet("log.parquet", log), events=LOG.assign(user_id=[f"ff0{u[1:]}" for u in LOG["user_id"]])
    )


@each(
    boolean=pa.array([True, False] * 4),
    list=pa.array([["u"]] * 8),
    moment=pa.array([START] * 8, pa.timestamp("us", "UTC")),
    struct=pa.array([{"a": 1, "b": 2}] * 8),
)
def types_that_are_no_ids(files: Files, values: pa.Array) -> Odd:
    log = files.parquet("log.parquet", with_column(arrow(LOG), "user_id", values))
    return files.odd(log, refused=r"log\.parquet: column user_id is \S.*, which is no id")


@each(boolean=pa.array([True, False] * 4), list=pa.array([[START]] * 8))
def types_that_are_no_times(files: Files, values: pa.Array) -> Odd:
    log = files.parquet("log.parquet", with_column(arrow(LOG), "event_time", values))
    return files.odd(log, refused=r"log\.parquet: column event_time is \S.*, which is no time")


@odd
def time_of_day_column(files: Files) -> Odd:
    times = pa.array([time.time() for time in LOG["event_time"]], pa.time64("us"))
    log = files.parquet("log.parquet", with_column(arrow(LOG), "event_time", times))
    return files.odd(log, refused=r"log\.parquet: cannot be read as parquet")


@each(
    milliseconds=pa.timestamp("ms"), seconds=pa.timestamp("s"), nanoseconds=pa.timestamp("ns"),
    zoned_nanoseconds=pa.timestamp("ns", "UTC"), elsewhere=pa.timestamp("us", "America/New_York"),
)  # fmt: skip
def units_and_zones(files: Files, kind: pa.DataType) -> Odd:
    times = arrow(LOG)["event_time"].cast(kind)
    return files.odd(files.parquet("log.parquet", with_column(arrow(LOG), "event_time", times)))


@odd
def nanoseconds_before_1970_and_fractions(files: Files) -> Odd:
    times = pa.array([1_736_057_023_123_456_789 + n for n in range(8)], pa.timestamp("ns"))
    events = LOG.assign(event_time=datetime(2025, 1, 5, 6, 3, 43, 123456, UTC), user_id=[f"u{n}" for n in range(8)])
    log = with_column(arrow(events), "event_time", times)
    return files.odd(files.parquet("log.parquet", log), events=events)


@odd
def days(files: Files) -> Odd:
    dates = pa.array([time.date() for time in LOG["event_time"]], pa.date32())
    events = LOG.assign(event_time=LOG["event_time"].dt.floor("D"))
    return files.odd(files.parquet("log.parquet", with_column(arrow(LOG), "event_time", dates)), events=events)


@odd
def int96_with_a_year_1(files: Files) -> Odd:
    times = [time.to_pydatetime().replace(tzinfo=None) for time in LOG["event_time"]]
    times[4] = datetime(1600, 1, 1)
    table = with_column(arrow(LOG), "event_time", pa.array(times, pa.timestamp("us")))
    log = files.parquet("log.parquet", table, use_deprecated_int96_timestamps=True)
    return files.odd(log, events=LOG.drop(index=4), rejected={"impossible_time": 1})


@each(seconds=1, milliseconds=10**3, microseconds=10**6, nanoseconds=10**9)
def numbers_since_1970(files: Files, scale: int) -> Odd:
    numbers = [int(time.timestamp()) * scale for time in LOG["event_time"]]
    return files.odd(files.parquet("log.parquet", with_column(arrow(LOG), "event_time", pa.array(numbers))))


@odd
def nanoseconds_to_the_microsecond(files: Files) -> Odd:
    events = LOG.assign(
        event_time=[time + timedelta(microseconds=123_457 * n) for n, time in enumerate(LOG["event_time"])]
    )
    numbers = [(int(t.timestamp()) * 10**6 + t.microsecond) * 1000 + 999 for t in events["event_time"]]
    log = with_column(arrow(events), "event_time", pa.array(numbers, pa.int64()))
    return files.odd(files.parquet("log.parquet", log), events=events)


@odd
def double_seconds_with_a_fraction(files: Files) -> Odd:
    events = LOG.assign(event_time=[time + timedelta(milliseconds=123 * n) for n, time in enumerate(LOG["event_time"])])
    numbers = [(int(t.timestamp()) * 10**6 + t.microsecond) / 1e6 for t in events["event_time"]]
    log = with_column(arrow(events), "event_time", pa.array(numbers, pa.float64()))
    return files.odd(files.parquet("log.parquet", log), events=events)


def described(files: Files, name: str, values: pa.Array, **attributes: str) -> Odd:
    """A case whose catalogue has one more column; the attributes are those of p1."""
    items = files.parquet("items.parquet", with_column(arrow(ITEMS), name, values))
    return files.odd(None, items, attributes={"p1": {"price": "20.00", **attributes}})


MAP = pa.map_(pa.string(), pa.string())


@odd
def map_of_attributes(files: Files) -> Odd:
    return described(files, "attributes", pa.array([[("brand", "Acme"), ("size", None)]] * 4, MAP), brand="Acme")


@odd
def map_with_a_key_twice(files: Files) -> Odd:
    values = pa.array([[("colour", "red"), ("size", "1"), ("colour", "blue")]] * 4, MAP)
    return described(files, "attributes", values, colour="blue", size="1")


@odd
def map_of_another_name(files: Files) -> Odd:
    return described(
        files, "specs", pa.array([[("width", "3")], [("width", "4")], None, []], MAP), **{"specs.width": "4"}
    )


@odd
def map_of_numbers(files: Files) -> Odd:
    values = pa.array([[("width", 3.5)]] * 4, pa.map_(pa.string(), pa.float64()))
    return described(files, "attributes", values, width="3.5")


@odd
def structs(files: Files) -> Odd:
    values = pa.array([{"name": "Acme", "place": {"city": "Wien"}, "none": None}] * 4)
    return described(files, "maker", values, **{"maker.name": "Acme", "maker.place.city": "Wien"})


@odd
def struct_of_attributes(files: Files) -> Odd:
    return described(files, "attributes", pa.array([{"brand": "Acme", "size": 3}] * 4), brand="Acme", size="3")


@odd
def lists(files: Files) -> Odd:
    return described(files, "tags", pa.array([["red", "large"]] * 4), tags="red, large")


@odd
def lists_of_structs(files: Files) -> Odd:
    return described(files, "offers", pa.array([[{"price": 1}]] * 4), offers='[{"price":1}]')


@each(
    whole=(pa.array([10_000_001.0] * 4), "10000001"), part=(pa.array([0.25] * 4), "0.25"),
    decimal=(pa.array([Decimal("1.50")] * 4), "1.50"), boolean=(pa.array([True] * 4), "true"),
    day=(pa.array([datetime(2025, 1, 5, tzinfo=UTC).date()] * 4), "2025-01-05"),
    long=(pa.array([2**60 + 1] * 4), str(2**60 + 1)),
)  # fmt: skip
def attributes_of_every_type(files: Files, value: tuple[pa.Array, str]) -> Odd:
    return described(files, "fact", value[0], fact=value[1])


@odd
def bytes_that_are_no_text(files: Files) -> Odd:
    return described(files, "thumbnail", pa.array([b"\xff\xd8\xff\xe0"] * 4))


@odd
def picture_as_bytes(files: Files) -> Odd:
    case = described(files, "image", pa.array([b"\xff\xd8\xff\xe0"] * 4))
    return replace(case, images={"p1": b"\xff\xd8\xff\xe0"})


@each(text=pa.array(["https://example.org/1.jpg"] * 4), list=pa.array([["https://example.org/1.jpg"]] * 4))
def picture_as_address(files: Files, values: pa.Array) -> Odd:
    return described(files, "image", values, image="https://example.org/1.jpg")


@odd
def picture_as_struct(files: Files) -> Odd:
    values = pa.array([{"bytes": None, "path": "1.jpg"}] * 4)
    return described(files, "image", values, **{"image.path": "1.jpg"})


@odd
def names_with_every_character(files: Files) -> Odd:
    names = ["price.eur", "net weight", "maker`s code", 'say "hi"', "größe", "a$b", "x" * 300, "a,b", "{c}"]
    table = arrow(ITEMS[["item_id", "title"]])
    for name in names:
        table = table.append_column(name, pa.array(["1"] * 4))
    return files.odd(None, files.parquet("items.parquet", table), attributes={"p0": dict.fromkeys(names, "1")})


@odd
def names_in_capitals(files: Files) -> Odd:
    log = arrow(LOG).rename_columns([name.upper() for name in arrow(LOG).column_names])
    items = arrow(ITEMS).rename_columns([name.upper() for name in ITEMS.columns])
    log, items = files.parquet("log.parquet", log), files.parquet("items.parquet", items)
    return files.odd(log, items, attributes={"p0": {"PRICE": "1.50"}})


@odd
def renamed_column_with_a_dot(files: Files) -> Odd:
    table = arrow(LOG).rename_columns(["user.id", "item_id", "event_time", "action"])
    return files.odd(files.parquet("log.parquet", table), options=['rename={ "user.id" = "user_id" }'])


@odd
def all_null_column(files: Files) -> Odd:
    return described(files, "nothing", pa.nulls(4))


@odd
def types_of_the_catalogues_ids(files: Files) -> Odd:
    items = with_column(arrow(NUMBERED_ITEMS), "item_id", pa.array([float(v) for v in NUMBERED_ITEMS["item_id"]]))
    log = files.csv("log.csv", iso(NUMBERED_LOG))
    return files.odd(log, files.parquet("items.parquet", items), events=NUMBERED_LOG, titles=NUMBERED_TITLES)


@odd
def every_compression(files: Files) -> Odd:
    for n, name in enumerate(("snappy", "gzip", "zstd", "lz4", "none", "brotli")[:5]):
        files.parquet(f"log/{n}.parquet", arrow(LOG).slice(2 * n, 2), compression=name)
    return files.odd(files.folder / "log")


@odd
def delta_byte_arrays_and_pages_of_version_2(files: Files) -> Odd:
    pq.write_table(arrow(LOG), files.path("log.parquet"), data_page_version="2.0", use_dictionary=False,
                   column_encoding={"user_id": "DELTA_BYTE_ARRAY", "action": "DELTA_LENGTH_BYTE_ARRAY"})  # fmt: skip
    return files.odd(files.folder / "log.parquet")


@cases_of(__name__)
def test_typed_columns(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    check(spark, make(Files(tmp_path)))
