"""Parameters are filled from settings by name, and by nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from schemas.parameters import take
from schemas.sections import Section


class Training(Section):
    steps: int
    rate: float
    folder: str


@dataclass(frozen=True, kw_only=True)
class Parameters:
    rate: float
    steps: int
    seed: int
    shards: int = 1


SECTION = Training(steps=5, rate=0.5, folder="x")


def test_fields_are_filled_by_name_and_what_is_given_wins() -> None:
    assert take(Parameters, SECTION, seed=7) == Parameters(rate=0.5, steps=5, seed=7)
    assert take(Parameters, SECTION, seed=7, steps=6, shards=2) == Parameters(rate=0.5, steps=6, seed=7, shards=2)


def test_what_nothing_fills_is_named() -> None:
    with pytest.raises(TypeError, match=r"Parameters\.seed: Training has no setting seed, and none was given"):
        take(Parameters, SECTION)


def test_a_value_of_a_wrong_name_is_refused() -> None:
    with pytest.raises(TypeError, match="Parameters has no field seeds; its fields are rate, steps, seed, shards"):
        take(Parameters, SECTION, seed=7, seeds=8)
