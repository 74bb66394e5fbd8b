"""Credentials of the environment come into no table, artifact, report, file or log."""

from __future__ import annotations

import deltalake

from tests.end_to_end.world import PLANTED, World


def test_planted_credentials_are_nowhere(world: World) -> None:
    tables = [folder.parent for folder in world.warehouse.glob("*/_delta_log")]
    assert len(tables) > 10
    texts = {str(table): deltalake.DeltaTable(str(table)).to_pandas().to_csv() for table in tables}
    files = [file for file in world.warehouse.rglob("*") if file.is_file()]
    assert {"report.html", "published.json", "outcome.json", "outcome.prom"} <= {file.name for file in files}
    texts |= {str(file): file.read_bytes().decode("latin-1") for file in files if file.stat().st_size < 50_000_000}
    texts["log"] = (world.folder / "first-night.log").read_text()
    assert "the webhook of QARM_WEBHOOK was not reached" in texts["log"], "it was used"
    for name, secret in PLANTED.items():
        told = [where for where, text in texts.items() if secret in text or secret.split("/")[-1] in text]
        assert told == [], name
