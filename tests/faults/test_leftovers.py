"""What a killed nightly leaves behind: staged rows, a checkpoint, its lock, its temporary folders."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.faults.nightly import Nightly
from tests.faults.same import assert_same
from tests.faults.tally import DONE


def leftovers(night: Nightly) -> list[str]:
    """Everything that is there for the time of a run alone, by the part of its path that tells what it is."""
    found = [path for folder in ("_staging", "_training", "_locks") for path in (night.warehouse / folder).glob("*")]
    found += [path for path in night.temporary.glob("qarm-scratch-*/*") if path.is_dir()]
    found += [*night.warehouse.rglob("._qarm_*")]
    return sorted({path.parent.name.split("-root")[0] for path in found})


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_the_next_night_removes_them(undisturbed: Nightly, tmp_path: Path) -> None:
    night = undisturbed.copy(tmp_path)
    assert leftovers(night) == []
    shutil.rmtree(night.warehouse / "_artifacts" / "aligned_model")
    assert night.killed_when(lambda: [*(night.warehouse / "_training").glob("align-*.safetensors")])
    left = leftovers(night)
    assert {"_staging", "_training", "_locks"} < {*left}
    assert any(name.startswith("qarm-scratch") for name in left)
    night.to_its_end()
    assert leftovers(night) == []
    DONE["kinds of leftovers removed"] += len(left)
    assert_same(night, undisturbed)
