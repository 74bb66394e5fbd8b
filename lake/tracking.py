"""Sends what jobs measure to MLflow, if the section ``[tracking]`` names a server or a folder."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from importlib.util import find_spec
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from lake.ledger import RunRecord
from lake.logs import first_line
from schemas.errors import UserError
from schemas.sections import TrackingSettings
from schemas.settings import Settings

log = logging.getLogger("qarm")

Curves = Mapping[str, Sequence[Mapping[str, float]]]
"""Training curves by name; a point has ``step`` and the numbers measured there."""

WAITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""How often and how many seconds MLflow's client tries a server, where the user has not said; its own are minutes."""

_failed: set[str] = set()
"""Servers that did not take a run of this process; they are not asked again."""

AT_ONCE = 100
"""Parameters or metrics that are sent in one request."""

LONGEST = 500
"""Characters of a parameter that are sent."""

FORBIDDEN = re.compile(r"[^\w\-. /]")
"""What MLflow allows in no name."""


def assert_trackable(settings: TrackingSettings) -> None:
    """Checks that MLflow is installed, if it is to be used.

    Raises:
        UserError: it is not.
    """
    if settings.mlflow_uri and find_spec("mlflow") is None:
        raise UserError(
            "tracking.mlflow_uri is set, but the package mlflow is not installed; pip install mlflow-skinny, or leave"
            " the setting empty"
        )


def track(settings: Settings, record: RunRecord, sections: Sequence[str], curves: Curves) -> None:
    """Sends a job's run as a run of MLflow: settings, numbers, curves. A server that fails does not fail the night.

    After the first failure nothing more is sent by this process, so that not every job waits for a server that is down.

    Args:
        settings: all settings.
        record: the run.
        sections: sections of the settings that the job reads.
        curves: training curves.
    """
    uri = settings.tracking.mlflow_uri
    if not uri or uri in _failed:
        return
    try:
        _send(settings, record, sections, curves)
    except Exception as error:
        _failed.add(uri)
        told = "%s: MLflow did not take the run: %s; the jobs after it are not sent"
        log.warning(told, record.job, first_line(error))


def _send(settings: Settings, record: RunRecord, sections: Sequence[str], curves: Curves) -> None:
    for name, value in WAITS.items():
        os.environ.setdefault(name, value)
    from mlflow.entities import Metric, Param
    from mlflow.tracking import MlflowClient

    uri = settings.tracking.mlflow_uri
    if urlsplit(uri).scheme in ("", "file"):
        # MLflow 3 writes to folders only where this variable says so; the setting has said it.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    client = MlflowClient(tracking_uri=uri)
    name = settings.tracking.experiment
    experiment = client.get_experiment_by_name(name)
    number = client.create_experiment(name) if experiment is None else experiment.experiment_id
    tags = {"qarm.run_id": record.run_id, "qarm.job": record.job, "qarm.version": record.code_version}
    began, ended = _milliseconds(record.started_at), _milliseconds(record.ended_at)
    run = client.create_run(number, start_time=began, tags=tags, run_name=f"{record.job} {record.run_id}")
    values = {section: getattr(settings, section).model_dump(mode="json") for section in sections}
    params = [Param(key, str(value)[:LONGEST]) for key, value in _flat(values, "")]
    metrics = [Metric(FORBIDDEN.sub("_", key), value, ended, 0) for key, value in record.metrics.items()]
    metrics.append(Metric("seconds", record.seconds, ended, 0))
    metrics += [
        Metric(FORBIDDEN.sub("_", f"{curve}.{key}"), value, ended, int(point["step"]))
        for curve, points in curves.items()
        for point in points
        for key, value in point.items()
        if key != "step"
    ]
    for some in _chunks(params):
        client.log_batch(run.info.run_id, params=some)
    for some in _chunks(metrics):
        client.log_batch(run.info.run_id, metrics=some)
    client.set_terminated(run.info.run_id, "FINISHED" if record.status == "done" else "FAILED", ended)


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _flat(values: Mapping[str, Any], before: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield FORBIDDEN.sub("_", f"{before}{key}"), value


def _chunks(rows: Sequence[Any]) -> Iterator[list[Any]]:
    left = iter(rows)
    while some := list(islice(left, AT_ONCE)):
        yield some
