"""First nights that are killed again and again end with the tables of a night that nobody disturbed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.nightly import Nightly
from tests.faults.reader import Reader
from tests.faults.same import assert_same

ATTEMPTS = 60
RANDOM_KILLS = 30


@pytest.mark.faults
@pytest.mark.timeout(7200)
def test_killed_at_every_boundary_of_jobs(undisturbed: Nightly, options: list[str], tmp_path: Path) -> None:
    night = Nightly(tmp_path, options)
    with Reader(night.warehouse) as reader:
        for number in range(1, 14):
            assert night.killed_when(rf"\[{number}/13\] \w+: (?!up to date)")
            pointer = night.warehouse / "published.json"
            assert not pointer.exists() or number > 12, "nothing is published before the night is whole"
        night.to_its_end()
        assert reader.sees(1)
    assert_same(night, undisturbed)
    assert reader.mixtures == []
    assert not [*(night.warehouse / "_training").glob("*"), *(night.warehouse / "_locks").glob("*")]


@pytest.mark.faults
@pytest.mark.timeout(10800)
def test_killed_at_random_moments(undisturbed: Nightly, options: list[str], tmp_path: Path) -> None:
    night, draw = Nightly(tmp_path, options), random.Random(17)
    kills = 0
    for _ in range(ATTEMPTS):
        killed = night.killed_when(r"\[1/13\]", after=draw.uniform(0, 50))
        kills += killed
        if kills == RANDOM_KILLS:
            break
        if not killed:  # the night is whole: the next one starts it anew
            night.arguments = [*options, "--force"]
    night.arguments = options
    night.to_its_end()
    assert kills == RANDOM_KILLS
    assert_same(night, undisturbed)
