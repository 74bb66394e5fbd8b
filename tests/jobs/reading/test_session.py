"""A session keeps to one night, its model included, until it is told to go on to the next one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from jobs import sql, thrift
from jobs.reading import model_functions, session
from jobs.reading.session import Reader
from lake.artifacts import Artifact
from lake.lake import Lake
from lake.published import PASSED, Night
from models.llm.projection import PROJECTION, Projection
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.functions import MODEL_FUNCTIONS
from schemas.settings import load_settings
from schemas.tables import ITEMS

QUERY = "SELECT title, embed_text(title)[0] > 0 FROM items"
FAR = 1e4


def encoder(lake: Lake, model: Artifact, folder: Path, sign: int) -> str:
    """Makes an encoder whose embeddings have this sign, and returns its version."""
    folder.mkdir()
    Projection(np.full(32, -sign * FAR, np.float32), np.eye(4, 32, dtype=np.float32)).save(folder / PROJECTION)
    recipe = {"language_model": model.digest, "layer": 1, "max_tokens": 8}
    return lake.artifacts.publish("encoder", folder, {"recipe": recipe}).version


def night(lake: Lake, number: int, **artifacts: str) -> None:
    """Publishes a night whose only item is called by its number."""
    row = lake.spark.sql(
        f"SELECT 'i' AS item_id, 'thing {number}' AS title, 'things' AS category,"
        " CAST(NULL AS MAP<STRING,STRING>) AS attributes, CAST(NULL AS STRING) AS description,"
        " CAST(NULL AS BINARY) AS image, 'c' AS content_hash, TIMESTAMP'2025-01-01' AS first_seen,"
        " TIMESTAMP'2025-01-01' AS updated_at"
    )
    versions = {"items": str(lake.warehouse.overwrite(ITEMS, row)), **artifacts}
    at = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=number)
    lake.published.record(Night(f"run-{number}", at, versions, PASSED))


@dataclass
class Warehouse:
    """Stands for a warehouse and its published night, and writes down what a session makes of them."""

    night: Night | None = None
    encoders: list[str] = field(default_factory=list)
    tables: list[str | None] = field(default_factory=list)
    models: list[str | None] = field(default_factory=list)
    fails: bool = False

    def publish(self, number: int) -> None:
        self.night = Night(f"run-{number}", datetime(2025, 1, number, tzinfo=UTC), {"items": str(number)}, PASSED)

    def bring_into_scope(self, _: Any, __: Any, versions: dict[str, str]) -> list[str]:
        if self.fails:
            raise OSError("no route to the name node")
        self.tables.append(versions.get("items"))
        return ["items"]

    def register_functions(self, _: Any, __: Any, night: Night | None) -> None:
        self.models.append(None if night is None else night.versions["items"])

    def reader(self) -> Reader:
        lake: Any = SimpleNamespace(
            files=SimpleNamespace(exists=lambda _: True), warehouse=SimpleNamespace(root=""), location="", spark=None,
            published=SimpleNamespace(current=lambda: self.night), settings=load_settings(),
            artifacts=SimpleNamespace(latest=lambda _: self.encoders[-1] if self.encoders else None),
        )  # fmt: skip
        return Reader(lake)


@pytest.fixture
def warehouse(monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    made = Warehouse()
    monkeypatch.setattr(session, "bring_into_scope", made.bring_into_scope)
    monkeypatch.setattr(model_functions, "register_functions", made.register_functions)
    return made


def test_a_server_finds_the_first_encoder_and_the_next_night(warehouse: Warehouse) -> None:
    reader = warehouse.reader()
    reader.register_model()
    assert not reader.refresh()
    assert (warehouse.tables, warehouse.models) == ([None], [])
    warehouse.encoders.append("encoder-1")
    assert not reader.refresh()
    assert not reader.refresh()
    assert (warehouse.tables, warehouse.models) == ([None], [None])
    warehouse.publish(1)
    assert reader.refresh()
    assert not reader.refresh()
    assert (warehouse.tables, warehouse.models) == ([None, "1"], [None, "1"])


def test_the_model_is_of_the_session_s_night_though_another_one_is_published(warehouse: Warehouse) -> None:
    warehouse.publish(1)
    reader = warehouse.reader()
    warehouse.publish(2)
    reader.prepare(QUERY)
    assert (warehouse.tables, warehouse.models) == (["1"], ["1"])


def test_a_night_that_could_not_be_entered_is_tried_again(warehouse: Warehouse) -> None:
    warehouse.publish(1)
    reader = warehouse.reader()
    warehouse.publish(2)
    warehouse.fails = True
    with pytest.raises(OSError, match="name node"):
        reader.refresh()
    warehouse.fails = False
    assert reader.refresh()
    assert warehouse.tables == ["1", "2"]


@pytest.mark.extras
def test_a_session_mixes_no_nights_and_goes_on_as_a_whole(
    make_lake: Callable[..., Lake], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()

    def seen() -> list[tuple[str, bool]]:
        return [tuple(row) for row in lake.spark.sql(QUERY).collect()]

    night(lake, 1)
    reader = Reader(lake)
    with pytest.raises(UserError, match="no encoder"):
        reader.prepare(QUERY)
    assert not reader.refresh()
    model = lake.artifacts.publish("language_model", tiny, {"recipe": {"dtype": "float32"}})
    positive = encoder(lake, model, tmp_path / "positive", 1)
    assert not reader.refresh()
    assert seen() == [("thing 1", True)], "the model of a night comes when it is made"
    night(lake, 2, encoder=encoder(lake, model, tmp_path / "negative", -1))
    assert seen() == [("thing 1", True)]
    assert reader.refresh()
    assert seen() == [("thing 2", False)]

    lake.spark.sql("DROP TEMPORARY FUNCTION embed_text")
    lazy = Reader(lake)
    night(lake, 3, encoder=positive)
    lazy.prepare(QUERY)
    assert seen() == [("thing 2", False)], "the model is of the session's night, though another one is published"
    with monkeypatch.context() as patch:
        patch.delattr(session, "bring_into_scope")
        with pytest.raises(NameError):
            lazy.refresh()
    assert lazy.refresh(), "what failed is tried again"
    assert seen() == [("thing 3", True)]
    assert not lazy.refresh()
    for name in ("embed_text", "item_text"):
        lake.spark.sql(f"DROP TEMPORARY FUNCTION {name}")


def test_the_shell_tells_the_error_of_a_function_in_one_line(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    night(lake, 1)
    lake.spark.udf.register("fails", lambda _: int("wine"))
    with pytest.raises(UserError, match=r"^ValueError: invalid literal for int\(\) with base 10: 'wine'$"):
        sql.show(Reader(lake), "SELECT fails(title) FROM items", 10)
    lake.spark.sql("DROP TEMPORARY FUNCTION fails")


def test_the_server_tries_again_after_a_failed_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        """Fails at the first look, and is interrupted at the third."""

        looks = 0

        def register_model(self) -> None:
            pass

        def refresh(self) -> bool:
            self.looks += 1
            if self.looks == 1:
                raise OSError("no route to the name node\nat a line of Java")
            return True

    class Server:
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    reader, server = Failing(), Server()

    def sleep(_: float) -> None:
        if reader.looks == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(thrift, "Reader", lambda _: reader)
    monkeypatch.setattr(thrift, "start", lambda *_: server)
    monkeypatch.setattr(thrift.time, "sleep", sleep)
    caplog.set_level("INFO", logger="qarm")
    options = {"host": "localhost", "port": 1, "refresh": 1.0}
    thrift.command(None, thrift.argparse.Namespace(**options))
    assert (reader.looks, server.stopped) == (2, True)
    assert caplog.messages[1:] == [
        "thrift: could not go on to another night, and will try again: no route to the name node",
        "thrift: goes on to another night",
        "thrift: ends",
    ]


def test_the_shell_starts_without_torch() -> None:
    told = "import sys, jobs.sql, jobs.thrift; print({'torch', 'transformers'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("name", MODEL_FUNCTIONS)
def test_a_call_of_the_model_is_seen_whatever_its_case(name: str) -> None:
    assert session.MODEL_CALL.search(f"SELECT {name.upper()} ('wine')")
    assert not session.MODEL_CALL.search(f"SELECT {name} FROM items")
