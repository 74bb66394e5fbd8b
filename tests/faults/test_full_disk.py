"""A warehouse on a disk that is too small."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.nightly import Nightly
from tests.faults.same import assert_same
from tests.faults.tally import DONE

TOO_SMALL = ("6m", "64m")
"""The converted language model has 52 MB: the first disk has no room for it, the second none for an aligned one."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Makes a disk of a size, in memory; called again, it makes it larger."""
    folder = tmp_path / "warehouse"
    folder.mkdir()

    def sized(size: str) -> Path:
        again = ["-o", f"remount,size={size}"] if folder.is_mount() else ["-t", "tmpfs", "-o", f"size={size}", "qarm"]
        command = ["mount", *again, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        return folder

    yield sized
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_a_full_disk_is_told_and_the_next_start_goes_on(
    undisturbed: Nightly, options: list[str], disk: Callable[[str], Path], tmp_path: Path
) -> None:
    night = Nightly(tmp_path, options)
    stopped = []
    for size in TOO_SMALL:
        assert disk(size) == night.warehouse
        started = night.start()
        log = started.end(code=1)
        told = r"^nightly: a disk is full; free are [\d,]+ MB on the warehouse's disk \(.*Make room and start again"
        assert re.match(told, started.last_line), started.last_line
        assert "Traceback" not in log
        assert not (night.warehouse / "published.json").exists()
        DONE["disks full"] += 1
        stopped.append(re.findall(r"\[\d+/13\] (\w+): never run", log)[-1])
    disk("1g")
    night.to_its_end()
    assert len({*stopped}) == 2, f"two moments, not one: {stopped}"
    assert_same(night, undisturbed)
