"""The nightly as an Airflow DAG. Copy this file into Airflow's folder of DAGs.

It starts ``spark-submit.sh`` on the worker, so qarm's own environment is not Airflow's. Airflow Variables, all
optional: ``qarm_home`` (the checkout), ``qarm_warehouse``, ``qarm_interactions``, ``qarm_items``, ``qarm_options``
(options of all steps, as on a command line: ``--config``, ``--set``, and those of spark-submit, such as ``--master``
and ``--packages``), ``qarm_nightly_options`` (further options of the nightly alone, such as ``--force``).
"""

from __future__ import annotations

import os
import shlex
import subprocess
from datetime import datetime, timedelta

from airflow.exceptions import AirflowException
from airflow.sdk import Variable, dag, task
from airflow.sdk.exceptions import AirflowFailException

REASONS = {2: "a mistake in the call, or another nightly at work", 3: "the gate held the night back"}
"""Exit codes after which another try would end in the same way; 1 is worth another try."""


def command_line(step: str) -> list[str]:
    """The command of a step."""
    home = Variable.get("qarm_home", default="/opt/qarm")
    arguments = [f"{home}/spark-submit.sh", step, "--warehouse", Variable.get("qarm_warehouse", default="./warehouse")]
    if step == "nightly":
        for name in ("interactions", "items"):
            if path := Variable.get(f"qarm_{name}", default=""):
                arguments += [f"--{name}", path]
        arguments += shlex.split(Variable.get("qarm_nightly_options", default=""))
    return arguments + shlex.split(Variable.get("qarm_options", default=""))


def run(step: str) -> None:
    """Runs a step.

    Raises:
        AirflowException: it failed; Airflow tries again, and the next start goes on where this one ended.
        AirflowFailException: another try would end in the same way.
    """
    code = subprocess.run(command_line(step), check=False, env={**os.environ}).returncode
    if code in REASONS:
        why = f"{REASONS[code]}; the last line of the log says more"
        raise AirflowFailException(f"{step} ended with exit code {code}: {why}")
    if code:
        raise AirflowException(f"{step} ended with exit code {code}; the next try goes on")


@dag(
    dag_id="qarm_nightly",
    schedule="0 3 * * *",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["qarm"],
    doc_md=__doc__,
)
def qarm_nightly() -> None:
    """The night, then tidying up on Sundays."""

    @task
    def nightly() -> None:
        run("nightly")

    @task.short_circuit
    def is_sunday(logical_date: datetime | None = None) -> bool:
        return logical_date is not None and logical_date.isoweekday() == 7

    @task
    def tidy() -> None:
        run("tidy")

    nightly() >> is_sunday() >> tidy()


qarm_nightly()
