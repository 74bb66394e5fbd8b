"""What jobs measure goes to MLflow; with the real client only where it is installed (make test-extras)."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lake.ledger import RunRecord
from lake.tracking import WAITS, _send, assert_trackable, track
from schemas.errors import UserError
from schemas.settings import load_settings

CURVES = {"ranker": [{"step": 10, "loss": 0.6, "auc": 0.7}, {"step": 20, "auc": 0.8}]}
RECORD = RunRecord(
    run_id="night-1", job="train_ranker", status="done",
    started_at=datetime(2024, 5, 1, tzinfo=UTC), ended_at=datetime(2024, 5, 1, 0, 1, tzinfo=UTC),
    input_versions={}, output_versions={}, settings_hash="", code_version="0",
    metrics={"ranker.valid_auc/ranker": 0.8, "odd:name, here": 1.0},
)  # fmt: skip


def test_without_the_package_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lake.tracking.find_spec", lambda _: None)
    assert_trackable(load_settings().tracking)
    with pytest.raises(UserError, match="pip install mlflow-skinny, or leave the setting empty"):
        assert_trackable(load_settings((), ["tracking.mlflow_uri=file:/tmp/x"]).tracking)


def test_a_server_that_fails_is_told_once_and_fails_no_night(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []

    def refused(_: object, record: RunRecord, *__: object) -> None:
        sent.append(record.job)
        raise ConnectionError("nobody answers\n  at some place")

    monkeypatch.setattr("lake.tracking._send", refused)
    monkeypatch.setattr("lake.tracking._failed", set())
    settings = load_settings((), ["tracking.mlflow_uri=nothing://at-all"])
    for job in ("train_ranker", "evaluate"):
        track(settings, replace(RECORD, job=job), ("ranker",), CURVES)
    assert [line.getMessage() for line in caplog.records] == [
        "train_ranker: MLflow did not take the run: nobody answers; the jobs after it are not sent"
    ]
    assert sent == ["train_ranker"]
    track(load_settings((), ["tracking.mlflow_uri=another://server"]), RECORD, ("ranker",), CURVES)
    assert len(sent) == 2


def test_a_server_that_is_down_is_not_waited_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in WAITS}
    monkeypatch.setattr(os, "environ", {**kept, "MLFLOW_HTTP_REQUEST_TIMEOUT": "99"})
    monkeypatch.setitem(sys.modules, "mlflow.entities", None)
    with pytest.raises(ImportError):
        _send(load_settings((), ["tracking.mlflow_uri=http://x"]), RECORD, (), {})
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "99", "what the user has set stays"


@pytest.mark.extras
def test_numbers_settings_and_curves_are_in_a_local_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "mlruns").as_uri()
    settings = load_settings((), [f"tracking.mlflow_uri={uri}"])
    assert_trackable(settings.tracking)
    for record in (RECORD, replace(RECORD, run_id="night-2", metrics={})):
        track(settings, record, ("ranker", "ranking"), CURVES)
    assert "MLflow did not take" not in caplog.text
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("qarm")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], "tags.`qarm.run_id` = 'night-1'")
    assert len(runs) == 1
    run = runs[0]
    assert run.info.status == "FINISHED"
    assert run.data.metrics["ranker.valid_auc/ranker"] == 0.8
    assert run.data.metrics["odd_name_ here"] == 1.0
    assert run.data.params["ranker.batch_size"] == "256"
    assert run.data.params["ranker.use.taste"] == "True"
    history = client.get_metric_history(run.info.run_id, "ranker.auc")
    assert [(point.step, point.value) for point in history] == [(10, 0.7), (20, 0.8)]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "ranker.loss")] == [10]
