"""JSON: lines, arrays, MongoDB's extended form, exact numbers, and lines that are damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
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
    cases_of,
    check,
    each,
    iso,
    odd,
    titles_of,
)


def records(frame: pd.DataFrame) -> list[dict]:
    return frame.to_dict(orient="records")


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@each(json="log.json", jsonl="log.jsonl", ndjson="log.NDJSON")
def lines_by_every_ending(files: Files, name: str) -> Odd:
    return files.odd(files.text(name, lines(records(iso(LOG)))))


@each(pretty=2, compact=None)
def array(files: Files, indent: int | None) -> Odd:
    log = files.text("log.json", json.dumps(records(iso(LOG)), indent=indent))
    items = files.text("items.json", json.dumps(records(ITEMS), indent=indent))
    return files.odd(log, items, attributes={"p1": {"price": "20.00"}})


@odd
def array_with_a_line_for_each_object(files: Files) -> Odd:
    text = "[\n" + ",\n".join(json.dumps(row) for row in records(iso(LOG))) + "\n]\n"
    return files.odd(files.text("log.json", text))


@odd
def array_and_lines_in_one_folder(files: Files) -> Odd:
    files.text("log/1.json", json.dumps(records(iso(LOG))[:4]))
    files.text("log/2.json", lines(records(iso(LOG))[4:]))
    return files.odd(files.folder / "log")


@odd
def array_that_is_cut_off(files: Files) -> Odd:
    log = files.text("log.json", json.dumps(records(iso(LOG)))[:-30])
    return files.odd(log, refused=r"log\.json: is no valid JSON array of objects; is it cut off")


@odd
def empty_array(files: Files) -> Odd:
    return files.odd(files.text("log.json", "[]"), refused="no column user_id")


@each(lines="lines", array="array")
def byte_order_mark(files: Files, form: str) -> Odd:
    rows = records(iso(LOG))
    return files.odd(files.text("log.json", lines(rows) if form == "lines" else json.dumps(rows), "utf-8-sig"))


@odd
def utf_16(files: Files) -> Odd:
    return files.odd(files.text("log.json", lines(records(iso(LOG))), "utf-16"), refused="is in UTF-16, which JSON")


@odd
def latin_1_unsaid(files: Files) -> Odd:
    items = files.text("items.json", lines(records(ITEMS.assign(title="Café"))), "latin-1")
    return files.odd(None, items, refused=r"4 lines are not in UTF-8; set ingest\.items_files\.encoding")


@odd
def bytes_beyond_the_first_64_kilobytes(files: Files) -> Odd:
    text = lines([{**row, "description": "word " * 5_000} for row in records(ITEMS)]).encode()
    items = files.data("items.json", text + '{"item_id": "p9", "title": "Café"}\n'.encode("latin-1"))
    return files.odd(None, items, refused=r"items\.json: 1 lines are not in UTF-8")


@odd
def latin_1_by_setting(files: Files) -> Odd:
    items = files.text("items.json", lines(records(ITEMS.assign(title="Café"))), "latin-1")
    right = dict.fromkeys(ITEMS["item_id"], "Café")
    return files.odd(None, items, options=["items_files.encoding=latin-1"], titles=right)


@odd
def escaped_characters(files: Files) -> Odd:
    title = 'Tab\t, "quote", \u00e9, \U0001f34e and \\'
    items = files.text("items.json", "".join(json.dumps(row) + "\n" for row in records(ITEMS.assign(title=title))))
    return files.odd(None, items, titles=dict.fromkeys(ITEMS["item_id"], title))


@odd
def ids_as_numbers(files: Files) -> Odd:
    rows = [
        {**row, "user_id": int(row["user_id"]), "item_id": int(row["item_id"])} for row in records(iso(NUMBERED_LOG))
    ]
    items = files.csv("items.csv", NUMBERED_ITEMS)
    return files.odd(files.text("log.json", lines(rows)), items, events=NUMBERED_LOG, titles=NUMBERED_TITLES)


@each(whole=(1001.0, "1001"), part=(12.5, "12.5"), text=("a7", "a7"))
def one_other_value_among_long_ids(files: Files, value: tuple[object, str]) -> Odd:
    long = {user: str(1850000000000000001 + n) for n, user in enumerate(("u0", "u1", "u2"))}
    log = LOG.replace({"user_id": long})
    rows = [{**row, "user_id": int(row["user_id"])} for row in records(iso(log))]
    rows[5]["user_id"] = value[0]
    events = log.assign(user_id=[*log["user_id"][:5], value[1], *log["user_id"][6:]])
    return files.odd(files.text("log.json", lines(rows)), events=events)


@odd
def versions_as_ids(files: Files) -> Odd:
    ids = {"p0": "1.0", "p1": "1.1", "p2": "1.10", "p3": "2.0"}
    log, items = (frame.replace({"item_id": ids}) for frame in (LOG, ITEMS))
    titles = titles_of(items)
    paths = files.text("log.json", lines(records(iso(log)))), files.text("items.json", lines(records(items)))
    return files.odd(*paths, events=log, titles=titles)


@odd
def floats_as_text_beside_whole_numbers(files: Files) -> Odd:
    log = NUMBERED_LOG.assign(item_id=[f"{item}.0" for item in NUMBERED_LOG["item_id"]])
    items = files.csv("items.csv", NUMBERED_ITEMS)
    return files.odd(files.csv("log.csv", iso(log)), items, events=NUMBERED_LOG, titles=NUMBERED_TITLES)


@each(
    date=lambda row: {"$date": row["event_time"]},
    number=lambda row: {"$date": int(pd.Timestamp(row["event_time"]).timestamp()) * 1000},
    long=lambda row: {"$date": {"$numberLong": str(int(pd.Timestamp(row["event_time"]).timestamp()) * 1000)}},
)
def mongo(files: Files, time: object) -> Odd:
    rows = [
        {"_id": {"$oid": f"{n:024x}"}, "user_id": {"$oid": row["user_id"]}, "item_id": row["item_id"],
         "event_time": time(row), "action": row["action"]}
        for n, row in enumerate(records(iso(LOG)))
    ]  # fmt: skip
    return files.odd(files.text("log.json", lines(rows)))


@odd
def attributes_as_object(files: Files) -> Odd:
    rows = [{**row, "attributes": {"brand": "Acme", "sizes": ["S", "M"], "none": None}} for row in records(ITEMS)]
    attributes = {"price": "1.50", "brand": "Acme", "sizes": "S, M"}
    return files.odd(None, files.text("items.json", lines(rows)), attributes={"p0": attributes})


@odd
def attributes_as_object_in_csv(files: Files) -> Odd:
    items = files.csv("items.csv", ITEMS.assign(attributes='{"brand": "Acme", "size": 3}'))
    return files.odd(None, items, attributes={"p0": {"price": "1.50", "brand": "Acme", "size": "3"}})


@odd
def nested_objects(files: Files) -> Odd:
    rows = [{**row, "maker": {"name": "Acme", "country": "AT"}, "tags": ["a", "b"]} for row in records(ITEMS)]
    attributes = {"price": "1.50", "maker.name": "Acme", "maker.country": "AT", "tags": "a, b"}
    return files.odd(None, files.text("items.json", lines(rows)), attributes={"p0": attributes})


@odd
def numbers_are_exact(files: Files) -> Odd:
    numbers = {"1.50": "1.50", "20.00": "12345678.0", "7.25": "12345678901234567890.123", "9.99": "true"}
    text = lines(records(ITEMS))
    for before, number in numbers.items():
        text = text.replace(f'"price": "{before}"', f'"price": {number}')
    right = {"p0": "1.5", "p1": "12345678", "p2": "12345678901234567890.123", "p3": "true"}
    items = files.text("items.json", text)
    return files.odd(None, items, attributes={item: {"price": number} for item, number in right.items()})


@odd
def ids_as_floats(files: Files) -> Odd:
    ids = {item: str(10**8 + int(item)) for item in NUMBERED_ITEMS["item_id"]}
    log, items = (frame.replace({"item_id": ids}) for frame in (NUMBERED_LOG, NUMBERED_ITEMS))
    rows = [{**row, "item_id": float(row["item_id"])} for row in records(iso(log))]
    titles = titles_of(items)
    paths = files.text("log.json", lines(rows)), files.csv("items.csv", items)
    return files.odd(*paths, events=log, titles=titles)


@odd
def null_values(files: Files) -> Odd:
    rows = records(iso(LOG))
    rows[1]["user_id"] = None
    rows[2]["action"] = None
    events = LOG.drop(index=1).assign(action=["click", "click", "purchase", *LOG["action"][4:]])
    return files.odd(files.text("log.json", lines(rows)), events=events, rejected={"null_user_id": 1})


@odd
def key_of_later_rows(files: Files) -> Odd:
    rows = records(iso(LOG))
    for row in rows[:4]:
        del row["action"]
    events = LOG.assign(action=["click"] * 4 + [*LOG["action"][4:]])
    return files.odd(files.text("log.json", lines(rows)), events=events)


@odd
def key_beyond_the_first_64_kilobytes(files: Files) -> Odd:
    rows = [
        {"user_id": f"v{n}", "item_id": "p0", "event_time": "2025-01-05T06:00:00Z", "note": "x" * 400}
        for n in range(200)
    ]
    early = pd.DataFrame([(f"v{n}", "p0", LOG["event_time"][0], "click") for n in range(200)], columns=LOG.columns)
    log = files.text("log.json", lines(rows) + lines(records(iso(LOG))))
    return files.odd(log, events=pd.concat([early, LOG]), rows=212)


@odd
def keys_in_another_order(files: Files) -> Odd:
    rows = [dict(reversed(row.items())) if n % 2 else row for n, row in enumerate(records(iso(LOG)))]
    return files.odd(files.text("log.json", lines(rows)))


@odd
def damaged_lines(files: Files) -> Odd:
    texts = lines(records(iso(LOG))).splitlines()
    texts[2] = texts[2][:40]
    texts[4] = '"only text"'
    texts[5] = "[1, 2]"
    log = files.text("log.json", "\n".join([*texts, "", "   "]))
    return files.odd(log, events=LOG.drop(index=[2, 4, 5]), rejected={"malformed_row": 3})


@odd
def first_line_is_damaged(files: Files) -> Odd:
    text = lines(records(iso(LOG)))
    return files.odd(files.text("log.json", text[20:]), events=LOG[1:], rejected={"malformed_row": 1})


@odd
def objects_over_several_lines(files: Files) -> Odd:
    text = "\n".join(json.dumps(row, indent=2) for row in records(iso(LOG)))
    return files.odd(files.text("log.json", text), refused="holds neither one JSON object per line nor an array")


@odd
def text_that_is_no_json(files: Files) -> Odd:
    return files.odd(files.csv("log.json", iso(LOG)), refused="holds neither one JSON object per line nor an array")


@odd
def keys_in_capitals(files: Files) -> Odd:
    rows = [{key.upper(): value for key, value in row.items()} for row in records(iso(LOG))]
    return files.odd(files.text("log.json", lines(rows)))


@odd
def renamed_keys(files: Files) -> Odd:
    rows = [{"who": row["user_id"], **{k: v for k, v in row.items() if k != "user_id"}} for row in records(iso(LOG))]
    items = files.text("items.json", lines(records(ITEMS.rename(columns={"price": "cost"}))))
    options = ['rename={ who = "user_id", cost = "price" }']
    return files.odd(files.text("log.json", lines(rows)), items, options=options, attributes={"p0": {"price": "1.50"}})


@cases_of(__name__)
def test_odd_json(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    check(spark, make(Files(tmp_path)))
