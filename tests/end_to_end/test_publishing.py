"""What runs again after a changed setting, the gate, and nights shown by hand."""

from __future__ import annotations

import json
import re

import deltalake
from pyspark.sql import SparkSession

from jobs import publish, rollback
from lake.command import main
from tests.end_to_end.world import World


def test_only_what_a_setting_touches_runs_again_and_the_gate_holds_it_back(world: World, spark: SparkSession) -> None:
    copy = world.copy("tuned")
    first = copy.seen(spark)
    tuned = ["--set", "ranker.max_epochs=1", "--set", "gate.least_rows=1.5"]
    plan = copy.night(*tuned, "--dry-run").log
    assert re.search(r"^build_examples +[\d,]+ +- +- +up to date$", plan, flags=re.MULTILINE)
    assert re.search(r"^train_ranker +14,\d{3} +0 +0\.\d  settings changed$", plan, flags=re.MULTILINE)
    assert re.search(r"^evaluate +[\d,]+ +0 +0\.\d  after train_ranker$", plan, flags=re.MULTILINE)
    log = copy.night(*tuned, code=3).log
    statuses = dict(re.findall(r"^(\w+) +(done|skipped) ", log, flags=re.MULTILINE))
    done = [job for job, status in statuses.items() if status == "done"]
    assert done == ["train_ranker", "evaluate", "publish_views", "report"]
    last = log.strip().splitlines()[-1]
    assert re.match(r"nightly: night \S+ is held back: table interactions has 7,\d{3} rows, and 7,\d{3} in the", last)
    assert copy.seen(spark) == first
    page = (copy.warehouse / "report.html").read_text()
    assert re.search(r"[+-]0\.\d{4}, (better|worse|same|may be chance)", page), "compared with the night before"
    assert "Readers do not see the newest night" in page
    assert "gate.least_rows = 1.5" in page
    held = re.findall(r"night (\S+) is held back", last)[0]
    assert copy.night(*tuned, "--until", "publish_views", code=3).closing == {}, "until somebody decides"
    ranker = json.loads((copy.warehouse / "published.json").read_text())["artifacts"]["ranker"]["version"]
    assert main(publish.COMMAND, ["--warehouse", str(copy.warehouse), held]) == 0
    assert copy.seen(spark) == held
    pointer = json.loads((copy.warehouse / "published.json").read_text())
    assert pointer["artifacts"]["ranker"]["version"] != ranker
    items = pointer["tables"]["items"]
    assert len(deltalake.DeltaTable(items["path"].removeprefix("file:"), version=items["version"]).to_pandas()) == 120
    assert main(rollback.COMMAND, ["--warehouse", str(copy.warehouse)]) == 0
    assert copy.seen(spark) == first
    assert json.loads((copy.warehouse / "published.json").read_text())["artifacts"]["ranker"]["version"] == ranker
