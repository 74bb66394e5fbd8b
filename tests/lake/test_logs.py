from __future__ import annotations

import json
import logging

import pytest
from pyspark.logger import PySparkLogger

from lake.logs import about, fields_of, first_line, set_up


def test_lines_of_json_tell_run_and_job(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    log = logging.getLogger("qarm")
    try:
        with about(run_id="run-1"):
            with about(job="ingest"):
                log.info("read %d rows", 3)
            log.info("done")
        log.info('quotes " and\nline breaks')
        logging.getLogger("others").info("not ours")
    finally:
        set_up()
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [{name: line.get(name) for name in ("level", "message", "run_id", "job")} for line in lines] == [
        {"level": "INFO", "message": "read 3 rows", "run_id": "run-1", "job": "ingest"},
        {"level": "INFO", "message": "done", "run_id": "run-1", "job": None},
        {"level": "INFO", "message": 'quotes " and\nline breaks', "run_id": None, "job": None},
    ]
    assert all(line["time"] for line in lines)


def test_an_error_keeps_the_fields_of_where_it_was_raised() -> None:
    with pytest.raises(ValueError, match="it broke") as found, about(run_id="run-1"), about(job="ingest"):
        raise ValueError("it broke")
    assert fields_of(found.value) == {"run_id": "run-1", "job": "ingest"}
    assert fields_of(ValueError()) == {}


def test_setting_up_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("json")
    set_up()
    logging.getLogger("qarm").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_an_error_of_sql_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    PySparkLogger.getLogger("SQLQueryContextLogger").exception("no such table", errorClass={})
    assert capsys.readouterr().err == ""


def test_an_error_is_told_by_its_first_line_or_its_type() -> None:
    assert first_line(ValueError("it broke\n  at Somewhere")) == "it broke"
    assert first_line(ValueError()) == "ValueError"
