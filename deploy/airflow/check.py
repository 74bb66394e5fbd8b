"""Loads the DAG by Airflow's own DagBag, and runs its step against commands that end with every exit code.

make airflow
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    """Raises AssertionError if the DAG is not what it should be."""
    home = tempfile.mkdtemp(prefix="qarm-airflow-")
    os.environ |= {
        "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
    }  # fmt: skip
    from airflow.dag_processing.dagbag import DagBag
    from airflow.exceptions import AirflowException
    from airflow.sdk.exceptions import AirflowFailException

    bag = DagBag(dag_folder=str(HERE / "qarm_nightly.py"))
    assert bag.import_errors == {}, bag.import_errors
    dag = bag.dags["qarm_nightly"]
    assert [task.task_id for task in dag.topological_sort()] == ["nightly", "is_sunday", "tidy"]
    assert dag.max_active_runs == 1, "two nightlies at once would refuse each other"
    assert not dag.catchup
    assert all(task.retries == 2 for task in dag.tasks)

    specification = importlib.util.spec_from_file_location("qarm_nightly", HERE / "qarm_nightly.py")
    module = importlib.util.module_from_spec(specification)  # type: ignore[arg-type]
    specification.loader.exec_module(module)  # type: ignore[union-attr]
    script = Path(home) / "spark-submit.sh"
    said = Path(home) / "said"
    os.environ |= {
        "AIRFLOW_VAR_QARM_HOME": home, "AIRFLOW_VAR_QARM_WAREHOUSE": "hdfs://namenode/wh",
        "AIRFLOW_VAR_QARM_INTERACTIONS": "a log", "AIRFLOW_VAR_QARM_NIGHTLY_OPTIONS": "--force",
        "AIRFLOW_VAR_QARM_OPTIONS": "--config '/etc/my night.toml' --master yarn",
    }  # fmt: skip
    endings = {0: None, 1: AirflowException, 2: AirflowFailException, 3: AirflowFailException}
    for code, expected in endings.items():
        script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {said}\nexit {code}\n')
        script.chmod(0o755)
        raised = None
        try:
            module.run("nightly")
        except AirflowException as error:
            raised = type(error)
        assert raised is expected, (code, raised)
    told = said.read_text().splitlines()
    assert told == [
        "nightly", "--warehouse", "hdfs://namenode/wh", "--interactions", "a log", "--force", "--config",
        "/etc/my night.toml", "--master", "yarn",
    ], told  # fmt: skip
    assert module.command_line("tidy")[1:] == [
        "tidy", "--warehouse", "hdfs://namenode/wh", "--config", "/etc/my night.toml", "--master", "yarn",
    ], module.command_line("tidy")  # fmt: skip
    print("the DAG loads, and exit codes 0 to 3 end as they should", file=sys.stderr)


if __name__ == "__main__":
    main()
