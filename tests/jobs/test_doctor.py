"""doctor finds what is wrong, says how to mend it, and leaves nothing behind."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from jobs import doctor
from jobs.health.gpu import AMOUNT, gpu
from jobs.health.memory import bytes_of
from jobs.health.models import judge
from jobs.health.spark import executors
from lake.lake import Lake
from lake.logs import first_line
from schemas.errors import UserError
from schemas.settings import load_settings

NO_OPTIONS = argparse.Namespace()

ENDPOINT = ("endpoint.url=http://x", "endpoint.model=m")


def test_a_machine_that_is_ready(
    make_lake: Callable[..., Lake], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake = make_lake(location=str(tmp_path / "a" / "warehouse"))
    closing = doctor.COMMAND.run(lake, NO_OPTIONS)
    told = capsys.readouterr().err
    assert closing is not None
    assert closing["status"] == "done"
    assert "BAD" not in told
    found = [line[6:24].strip() for line in told.splitlines() if line.startswith(("ok", "note"))]
    assert found[:7] == ["Spark", "executors", "memory", "GPU", "warehouse", "Delta's jars", "room"]
    assert found[7:] == ["language model", "judge's model"]
    assert list(tmp_path.iterdir()) == []
    assert "run_id" not in closing, "no table has a run of doctor"


def test_what_is_wrong_is_told_with_the_way_to_mend_it(
    make_lake: Callable[..., Lake], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    lake = make_lake(
        'language_model.model="package:no_such_model"', f'judge.model="{tmp_path}/empty"',
        location=str(tmp_path / "file" / "warehouse"),
    )  # fmt: skip
    with pytest.raises(UserError, match=r"warehouse.*language model, judge's model"):
        doctor.COMMAND.run(lake, NO_OPTIONS)
    told = capsys.readouterr().err
    assert "BAD   language model    language_model.model: package no_such_model is not installed" in told
    assert "-> pip install it, or name a folder" in told
    assert "BAD   warehouse" in told
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["empty", "file"]


def test_another_python_on_the_executors_is_told(
    make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = make_lake()
    monkeypatch.setattr(lake.spark.sparkContext, "pythonVer", "3.9")
    found = executors(lake)
    assert found.is_bad
    assert f"their Python is {sys.version_info[0]}.{sys.version_info[1]}, the driver's" in found.says
    assert "spark.pyspark.python" in found.mend


def test_an_error_of_java_says_what_java_says(spark: SparkSession) -> None:
    with pytest.raises(Py4JJavaError) as raised:
        spark._jvm.java.lang.Class.forName("none")  # type: ignore[union-attr]
    assert first_line(raised.value) == "java.lang.ClassNotFoundException: none"


@pytest.mark.parametrize(
    ("assignments", "says"),
    [
        ([*ENDPOINT], "BAD   judge's model     judge.model: package no_such is not installed"),
        ([*ENDPOINT, "judge.method=yes_no"], "ok    judge's model     none is needed: http://x is asked"),
        (["judge.method=yes_no"], "BAD   judge's model     judge.model: package no_such is not installed"),
        (["judge.max_pairs=0"], "ok    judge's model     none is needed: judge.max_pairs is 0"),
        (['judge.model="package:no_such.part"'], "package no_such.part is not installed"),
    ],
)
def test_the_judges_model_is_looked_at_where_it_runs_here(assignments: list[str], says: str) -> None:
    settings = load_settings((), ['judge.model="package:no_such"', *assignments])
    assert says in judge(SimpleNamespace(settings=settings)).line()  # type: ignore[arg-type]


@pytest.mark.parametrize(("text", "size"), [("2g", 2 << 30), ("512m", 512 << 20), ("2048", 2 << 30), ("1GB", 1 << 30)])
def test_sizes_of_memory(text: str, size: int) -> None:
    assert bytes_of(text) == size


def test_spark_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("[JAVA_GATEWAY_EXITED] Java gateway process exited\n  at Somewhere")

    monkeypatch.setattr(doctor, "start_session", broken)
    with pytest.raises(UserError, match=r"Spark does not start: \[JAVA_GATEWAY_EXITED\].*set spark.jars"):
        doctor.start("doctor", None)  # type: ignore[arg-type]


SHARED = f"set {AMOUNT}, or executors' tasks share their first (docs/gpu.md)"
NONE = "torch finds none here: the driver's networks compute on the processor"


@pytest.mark.parametrize(
    ("master", "gpus", "given", "says", "mend"),
    [
        ("local[2]", 0, None, NONE, ""),
        ("yarn", 0, "1", f"{NONE}; a task of an executor gets 1", ""),
        ("local[2]", 2, None, "GPU 0, GPU 1; every task holds a network of its own on the first (docs/gpu.md)", ""),
        ("yarn", 1, "0.5", "GPU 0; a task of an executor gets 0.5", ""),
        ("yarn", 1, None, "GPU 0", SHARED),
    ],
)
def test_gpus_are_told_and_whether_tasks_share_one(
    master: str, gpus: int, given: str | None, says: str, mend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"GPU {number}")
    conf = SimpleNamespace(get=lambda name: given if name == AMOUNT else None)
    context = SimpleNamespace(getConf=lambda: conf, master=master)
    found = gpu(SimpleNamespace(spark=SimpleNamespace(sparkContext=context)))
    assert (found.says, found.mend, found.is_bad) == (says, mend, False)
