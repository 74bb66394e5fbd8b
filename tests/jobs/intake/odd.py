"""Small inputs that are odd in one way each, and what is right for each of them.

A case is a function that writes its files to an empty folder and says what a good product makes of them. The files are
those of :data:`LOG` and :data:`ITEMS`, changed in one way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import Row, SparkSession

from jobs.intake.inputs import read_inputs, shape_inputs
from jobs.intake.malformed import malformed_rows
from jobs.intake.matching import ids_with_points, matched
from lake.inputs.complaints import MALFORMED_ROW
from schemas.errors import UserError
from schemas.settings import Settings, load_settings

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2025, 1, 5, 6, tzinfo=UTC)

LOG = pd.DataFrame(
    {
        "user_id": [f"u{n % 3}" for n in range(8)],
        "item_id": [f"p{n % 4}" for n in range(8)],
        "event_time": [START + timedelta(hours=5 * n, seconds=n) for n in range(8)],
        "action": ["click", "purchase"] * 4,
    }
)
ITEMS = pd.DataFrame(
    {
        "item_id": [f"p{n}" for n in range(4)],
        "title": ["Red apple", "Blue chair", "Green lamp", "Old shirt"],
        "category": ["fruit", "furniture", "light", "clothes"],
        "price": ["1.50", "20.00", "7.25", "9.99"],
    }
)
NUMBERED_LOG = LOG.assign(user_id=[str(1001 + n % 3) for n in range(8)], item_id=[str(5001 + n % 4) for n in range(8)])
NUMBERED_ITEMS = ITEMS.assign(item_id=[str(5001 + n) for n in range(4)])


def titles_of(items: pd.DataFrame) -> dict[str, str | None]:
    """Title by item."""
    return dict(zip(items["item_id"], items["title"], strict=True))


NUMBERED_TITLES = titles_of(NUMBERED_ITEMS)


def iso(log: pd.DataFrame) -> pd.DataFrame:
    """A log with its times as text."""
    return log.assign(event_time=[time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in log["event_time"]])


@dataclass
class Odd:
    """An odd input and what is right.

    Attributes:
        log: path of the log.
        items: path of the catalogue.
        options: settings ``key=value`` of the section ingest.
        events: what interactions should hold, before duplicates are folded.
        titles: title by item.
        attributes: attributes by item, for the items that are looked at.
        weights: weights of the events in the log's order, where they are looked at.
        images: image by item, for the items that are looked at.
        rejected: reasons for rejection of rows of both inputs, with their counts.
        rows: rows of both inputs.
        refused: pattern of the line, if the input is refused.
    """

    log: Path
    items: Path
    options: Sequence[str] = ()
    events: pd.DataFrame = field(default_factory=lambda: LOG)
    titles: Mapping[str, str | None] = field(default_factory=lambda: titles_of(ITEMS))
    attributes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    weights: Sequence[float] | None = None
    images: Mapping[str, bytes | None] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    rows: int | None = None
    refused: str | None = None


Make = Callable[["Files"], Odd]
CASES: dict[str, dict[str, Make]] = {}


def odd(make: Make) -> Make:
    """Registers a case under the module and the name of its function."""
    CASES.setdefault(make.__module__, {})[make.__name__] = make
    return make


def each(**variants: object) -> Callable[[Callable[..., Odd]], Callable[..., Odd]]:
    """Registers one case for each value."""

    def register(make: Callable[..., Odd]) -> Callable[..., Odd]:
        for name, value in variants.items():
            CASES.setdefault(make.__module__, {})[f"{make.__name__}-{name}"] = lambda files, value=value: make(
                files, value
            )
        return make

    return register


def cases_of(module: str) -> pytest.MarkDecorator:
    """Parametrizes a test with the cases of a module."""
    cases = CASES[module]
    return pytest.mark.parametrize("make", cases.values(), ids=cases.keys())


class Files:
    """An empty folder in which a case writes its files; what it does not write is plain."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def text(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        path = self.path(name)
        path.write_bytes(text.encode(encoding))
        return path

    def data(self, name: str, data: bytes) -> Path:
        path = self.path(name)
        path.write_bytes(data)
        return path

    def csv(self, name: str, frame: pd.DataFrame, **options: object) -> Path:
        return self.text(name, csv_text(frame, **options))

    def parquet(self, name: str, table: pa.Table, **options: object) -> Path:
        pq.write_table(table, self.path(name), **options)
        return self.folder / name

    def odd(self, log: Path | None = None, items: Path | None = None, **right: object) -> Odd:
        """The case; a missing input is written plainly."""
        log = log or self.csv("plain/log.csv", iso(LOG))
        items = items or self.csv("plain/items.csv", ITEMS)
        return Odd(log, items, **right)  # type: ignore[arg-type]


def csv_text(frame: pd.DataFrame, **options: object) -> str:
    return str(frame.to_csv(index=False, lineterminator=options.pop("lineterminator", "\n"), **options))


def arrow(frame: pd.DataFrame) -> pa.Table:
    """A table with times in microseconds and with a zone, which every reader takes."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    if "event_time" not in frame:
        return table
    place = table.schema.get_field_index("event_time")
    return table.set_column(place, "event_time", table["event_time"].cast(pa.timestamp("us", "UTC")))


def with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    """A table with another column in place of that of the same name, or with one more."""
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, values)
    return table.append_column(name, values)


def wanted_events(log: pd.DataFrame) -> Counter[tuple[str, str, int, str]]:
    times = (int(time.timestamp()) * 1_000_000 + time.microsecond for time in log["event_time"])
    return Counter(zip(log["user_id"], log["item_id"], times, log["action"], strict=True))


def check(spark: SparkSession, case: Odd) -> None:
    """Reads a case and compares.

    Every row of the inputs is accounted for: it is among the events or items, or it is rejected with a reason.
    """
    given = [f'ingest.interactions="{case.log}"', f'ingest.items="{case.items}"']
    settings = load_settings((), [*given, *(f"ingest.{option}" for option in case.options)])
    if case.refused is not None:
        with pytest.raises(UserError) as refusal:
            taken(spark, settings)
        line = str(refusal.value)
        assert re.search(case.refused, line), line
        assert "\n" not in line
        assert len(line) < 600, line
        return
    events, items = taken(spark, settings)
    accepted = [row for row in events if row["complaint"] is None]
    found = Counter((row["user_id"], row["item_id"], row["time"], row["action"]) for row in accepted)
    wanted = wanted_events(case.events)
    assert found == wanted, f"missing {list(wanted - found)[:3]}, surplus {list(found - wanted)[:3]}"
    if case.weights is not None:
        by_time = sorted(accepted, key=lambda row: row["time"])
        assert [row["weight"] for row in by_time] == pytest.approx(case.weights)
    good_items = {row["item_id"]: row for row in items if row["complaint"] is None}
    assert {item: row["title"] for item, row in good_items.items()} == case.titles
    for item, attributes in case.attributes.items():
        assert good_items[item]["attributes"] == attributes
    for item, image in case.images.items():
        assert good_items[item]["image"] == image
    reasons = Counter(row["complaint"] for row in [*events, *items] if row["complaint"] is not None)
    assert reasons == Counter(case.rejected)
    rows = len(LOG) + len(ITEMS) if case.rows is None else case.rows
    assert len(events) + len(items) == rows, "every row is taken or rejected"


def taken(spark: SparkSession, settings: Settings) -> tuple[list[Row], list[Row]]:
    """All rows of the log and of the catalogue, those that are malformed with their places."""
    log, catalogue = read_inputs(spark, settings.ingest)
    events, items = (frame.persist() for frame in shape_inputs(log, catalogue, settings, NOW))
    of_log = ["user_id", "item_id", "unix_micros(event_time) AS time", "action", "weight", "complaint"]
    of_items = ["item_id", "title", "attributes", "image", "complaint"]
    try:
        with catalogue.reading(), log.reading():
            judged, titled = matched(events, items, None, ids_with_points(events, items))
            rows = judged.selectExpr(*of_log).collect(), titled.select(*of_items).collect()
    finally:
        for frame in (events, items):
            frame.unpersist()
    for given, found in zip((log, catalogue), rows, strict=True):
        malformed = sum(row["complaint"] == MALFORMED_ROW for row in found)
        if malformed:
            given.refuse_undecodable()
            places = [
                place for part in given.parts if part.may_be_malformed for place in malformed_rows(part).collect()
            ]
            assert len(places) == malformed
    return rows
