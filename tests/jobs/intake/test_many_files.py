"""Inputs of several files: columns by name, files that are not data, and files that are damaged."""

from __future__ import annotations

import gzip
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
    Files,
    Make,
    Odd,
    arrow,
    cases_of,
    check,
    csv_text,
    each,
    iso,
    odd,
    with_column,
)


@odd
def columns_in_another_order(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.csv("log/2.csv", iso(LOG)[4:][["item_id", "user_id", "action", "event_time"]])
    return files.odd(files.folder / "log")


@odd
def column_of_later_files(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4].drop(columns="action"))
    files.csv("log/2.csv", iso(LOG)[4:])
    return files.odd(files.folder / "log", events=LOG.assign(action=["click"] * 4 + [*LOG["action"][4:]]))


@odd
def column_of_later_parquet_files(files: Files) -> Odd:
    files.parquet("log/1.parquet", arrow(LOG[:4].drop(columns="action")))
    files.parquet("log/2.parquet", arrow(LOG[4:].reset_index(drop=True)))
    return files.odd(files.folder / "log", events=LOG.assign(action=["click"] * 4 + [*LOG["action"][4:]]))


@odd
def two_separators_in_one_folder(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.csv("log/2.csv", iso(LOG)[4:], sep=";")
    return files.odd(files.folder / "log")


@odd
def two_byte_orders_in_one_folder(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.text("log/2.csv", csv_text(iso(LOG)[4:]), "utf-8-sig")
    files.text("log/3.csv", csv_text(iso(LOG)[:0]), "utf-16")
    return files.odd(files.folder / "log")


@odd
def part_without_header(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.csv("log/2.csv", iso(LOG)[4:], header=False)
    return files.odd(files.folder / "log", refused=r"log/2\.csv: no column user_id, item_id, event_time \(it has u")


@odd
def folder_that_spark_wrote(files: Files) -> Odd:
    files.csv("log/part-00000.csv", iso(LOG)[:4])
    files.csv("log/part-00001.csv", iso(LOG)[4:])
    files.csv("log/part-00002.csv", iso(LOG)[:0])
    for name, data in (("part-00003.csv", b""), ("_SUCCESS", b""), (".part-00000.csv.crc", b"crc\0")):
        files.data(f"log/{name}", data)
    files.data("log/.DS_Store", b"\0\0\0\1Bud1")
    files.csv("log/_temporary/0/part-00000.csv", iso(LOG))
    return files.odd(files.folder / "log")


@each(readme="README.txt", lower="readme", licence="LICENSE", markdown="notes.md", sums="MD5SUMS.md5")
def document_among_the_data(files: Files, name: str) -> Odd:
    files.csv("log/1.csv", iso(LOG))
    files.text(f"log/{name}", "This folder holds the log.\n")
    return files.odd(files.folder / "log")


@odd
def stranger_among_the_data(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.csv("log/2.dat", iso(LOG)[4:])
    return files.odd(files.folder / "log", refused=r"2\.dat lies among csv files and has another ending")


@odd
def two_formats_in_one_folder(files: Files) -> Odd:
    files.csv("log/1.csv", iso(LOG)[:4])
    files.csv("log/2.csv", iso(LOG)[:4])
    files.parquet("log/3.parquet", arrow(LOG))
    return files.odd(files.folder / "log", refused=r"3\.parquet lies among csv files")


@odd
def folders_within_the_folder(files: Files) -> Odd:
    files.csv("log/2025/01/1.csv", iso(LOG)[:4])
    files.csv("log/2025/02/1.csv", iso(LOG)[4:])
    return files.odd(files.folder / "log")


@odd
def folder_without_files(files: Files) -> Odd:
    (files.folder / "log").mkdir()
    return files.odd(files.folder / "log", refused="the input has no rows")


@odd
def folder_of_empty_files(files: Files) -> Odd:
    files.data("log/1.csv", b"")
    return files.odd(files.folder / "log", refused="the input has no rows")


@odd
def empty_file(files: Files) -> Odd:
    return files.odd(files.data("log.parquet", b""), refused="the input has no rows")


@odd
def gzip_that_is_cut_off(files: Files) -> Odd:
    log = csv_text(iso(LOG).assign(query=[f"{n * 7919 % 1000}" * 900 for n in range(8)])).encode()
    packed = gzip.compress(log)
    return files.odd(
        files.data("log.csv.gz", packed[: len(packed) // 2]), refused=r"log\.csv\.gz: cannot be read.*cut off"
    )


@odd
def large_gzip_that_is_cut_off(files: Files) -> Odd:
    text = csv_text(iso(LOG)) + "".join(
        f"u{n},p{n * 7919 % 4},2025-01-05T06:00:00Z,click{n * 31 % 997}\n" for n in range(60_000)
    )
    packed = gzip.compress(text.encode())
    return files.odd(files.data("log.csv.gz", packed[:-200]), refused=r"log\.csv\.gz: cannot be read.*cut off")


@odd
def ending_gz_without_compression(files: Files) -> Odd:
    return files.odd(files.csv("log.csv.gz", iso(LOG)), refused=r"log\.csv\.gz: cannot be read")


@odd
def compression_without_its_ending(files: Files) -> Odd:
    log = files.data("log.csv", gzip.compress(csv_text(iso(LOG)).encode()))
    return files.odd(log, refused="is compressed by gzip, not csv; give it the ending of its compression")


@odd
def numbers_in_one_file_and_texts_in_the_next(files: Files) -> Odd:
    table = arrow(NUMBERED_LOG)
    numbers = table.slice(0, 4)
    for name in ("user_id", "item_id"):
        numbers = with_column(numbers, name, pa.array([int(v) for v in NUMBERED_LOG[name][:4]], pa.int64()))
    files.parquet("log/1.parquet", numbers)
    files.parquet("log/2.parquet", table.slice(4))
    items = files.csv("items.csv", NUMBERED_ITEMS)
    return files.odd(files.folder / "log", items, events=NUMBERED_LOG, titles=NUMBERED_TITLES)


@odd
def two_units_of_time(files: Files) -> Odd:
    table = arrow(LOG)
    files.parquet("log/1.parquet", table.slice(0, 4))
    nano = with_column(table.slice(4), "event_time", table["event_time"].slice(4).cast(pa.timestamp("ns")))
    files.parquet("log/2.parquet", nano)
    return files.odd(files.folder / "log")


@odd
def parquet_in_another_order(files: Files) -> Odd:
    files.parquet("log/1.parquet", arrow(LOG[:4]))
    later = arrow(LOG[4:].reset_index(drop=True))
    files.parquet("log/2.parquet", later.select(["action", "item_id", "event_time", "user_id"]))
    return files.odd(files.folder / "log")


@odd
def parquet_file_of_no_bytes(files: Files) -> Odd:
    files.data("log/0.parquet", b"")
    files.parquet("log/1.parquet", arrow(LOG))
    return files.odd(files.folder / "log")


@odd
def parquet_that_is_cut_off(files: Files) -> Odd:
    files.parquet("log/1.parquet", arrow(LOG))
    whole = files.parquet("whole.parquet", arrow(LOG)).read_bytes()
    files.data("log/2.parquet", whole[:-40])
    return files.odd(files.folder / "log", refused=r"log/2\.parquet: cannot be read as Parquet, is it cut off")


@odd
def parquet_that_is_text(files: Files) -> Odd:
    return files.odd(files.csv("log.parquet", iso(LOG)), refused=r"log\.parquet: is text, or damaged, not Parquet")


@odd
def text_that_is_parquet(files: Files) -> Odd:
    return files.odd(files.parquet("log.csv", arrow(LOG)), refused=r"log\.csv: is a Parquet file, not csv")


@odd
def workbook_as_csv(files: Files) -> Odd:
    return files.odd(files.data("log.csv", b"PK\x03\x04rest"), refused="is a zip archive or an Excel workbook, not csv")


@odd
def folders_that_are_columns(files: Files) -> Odd:
    for n, row in LOG.iterrows():
        frame = LOG.loc[[n]].drop(columns="action").reset_index(drop=True)
        files.parquet(f"log/action={row['action']}/day={row['event_time']:%Y%m%d}/{n}.parquet", arrow(frame))
    for n in range(len(ITEMS)):
        item = ITEMS[n : n + 1].drop(columns="category").reset_index(drop=True)
        files.parquet(f"items/category=0{n}/1.parquet", arrow(item))
    return files.odd(files.folder / "log", files.folder / "items")


@odd
def folders_of_csv_that_are_columns(files: Files) -> Odd:
    for user, rows in iso(LOG).groupby("user_id"):
        files.csv(f"log/user_id={user}/part-0.csv", rows.drop(columns="user_id"))
    return files.odd(files.folder / "log")


@odd
def folders_of_json_that_are_columns(files: Files) -> Odd:
    for user, rows in iso(LOG).groupby("user_id"):
        text = rows.drop(columns="user_id").to_json(orient="records", lines=True)
        files.text(f"log/user_id={user}/part-0.json", text)
    return files.odd(files.folder / "log")


@odd
def folder_without_endings_is_parquet_by_content(files: Files) -> Odd:
    files.parquet("log/000000_0", arrow(LOG[:4]))
    files.parquet("log/000001_0", arrow(LOG[4:].reset_index(drop=True)))
    return files.odd(files.folder / "log")


@odd
def folder_without_endings_is_asked_for(files: Files) -> Odd:
    files.csv("log/part-00000", iso(LOG))
    return files.odd(files.folder / "log", refused="names no known format; set --interactions-format")


@odd
def many_row_groups(files: Files) -> Odd:
    writer = pq.ParquetWriter(files.path("log.parquet"), arrow(LOG).schema)
    for n in range(len(LOG)):
        writer.write_table(arrow(LOG).slice(n, 1))
    writer.close()
    return files.odd(files.folder / "log.parquet")


@cases_of(__name__)
def test_many_files(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    check(spark, make(Files(tmp_path)))
