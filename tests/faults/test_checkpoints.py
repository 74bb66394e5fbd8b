"""A checkpoint that was cut off by a crash of the machine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.nightly import Nightly
from tests.faults.same import assert_same
from tests.faults.tally import DONE


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_truncated_checkpoint_is_told_and_the_training_begins_anew(undisturbed: Nightly, tmp_path: Path) -> None:
    night = undisturbed.copy(tmp_path)
    shutil.rmtree(night.warehouse / "_artifacts" / "ranker")

    def written() -> list[Path]:
        return [*(night.warehouse / "_training").glob("ranker-qarm-*.safetensors")]

    assert night.killed_when(written)
    checkpoint, *_ = written()
    checkpoint.write_bytes(checkpoint.read_bytes()[:100])
    DONE["checkpoints truncated"] += 1
    log = night.to_its_end()
    assert f"checkpoint {checkpoint} is damaged" in log
    assert "the training begins anew" in log
    assert_same(night, undisturbed)
    assert not [*(night.warehouse / "_training").iterdir()]
