"""The same jobs on a real Spark standalone cluster: a master, two workers, the driver in client mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import deltalake
import pytest

from schemas.files import ROOT
from tests import generate
from tests.standalone import Cluster
from tests.strangers import strange_folder


@pytest.mark.cluster
def test_ingest_to_semantic_ids_on_two_workers(cluster: Cluster, tiny: Path, tmp_path: Path) -> None:
    log, items = generate.write(tmp_path / "input", users=30, days=20)
    caller = strange_folder(tmp_path / "caller")
    arguments = [*cluster.options, "--set", f"language_model.model={tiny}"]
    arguments += ["--warehouse", str(tmp_path / "warehouse"), "--interactions", log, "--items", items]
    arguments += ["--rename", generate.RENAME, "--until", "assign_semantic_ids"]
    for assignment in (*generate.SMALL, "embed.layer=2", "align.layers=2"):
        arguments += ["--set", assignment]
    command = [str(ROOT / "spark-submit.sh"), "nightly", *arguments]
    environment = {**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": ""}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, cwd=caller, timeout=540, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    closing = json.loads(done.stdout.strip().splitlines()[-1])
    assert closing["status"] == "done"
    assert {"items", "item_pairs", "item_embeddings", "codebook", "semantic_ids"} <= set(closing["outputs"])
    assert "[1/8] ingest" in done.stderr
    codes = deltalake.DeltaTable(str(tmp_path / "warehouse" / "semantic_ids")).to_pandas()
    assert len(codes) == len(generate.catalogue())
    ran = {path.parts[-4] for path in cluster.folder.glob("worker-*/app-*/*/stderr")}
    assert ran == {"worker-0", "worker-1"}, "both workers ran an executor"
