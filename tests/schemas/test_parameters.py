from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from models.ranker.examples.targets import ExampleParameters
from models.ranker.training.training import TrainingParameters
from schemas.parameters import take
from schemas.settings import load_settings


@dataclass(frozen=True, kw_only=True)
class Small:
    recent_length: int
    other: int
    more: list[int] = field(default_factory=list)


def test_fields_are_filled_by_name_and_what_is_given_wins() -> None:
    section = load_settings((), ["examples.recent_length=7"]).examples
    assert take(Small, section, other=1) == Small(recent_length=7, other=1, more=[])
    assert take(Small, section, other=1, recent_length=2, more=[3]) == Small(recent_length=2, other=1, more=[3])


def test_a_field_without_a_value_is_named() -> None:
    with pytest.raises(TypeError, match=r"Small\.other: neither given nor a setting of ExamplesSettings"):
        take(Small, load_settings().examples)
    with pytest.raises(TypeError, match="strange"):
        take(Small, load_settings().examples, other=1, strange=2)


def test_a_rankers_parameters_come_from_the_settings() -> None:
    settings = load_settings()
    assert take(TrainingParameters, settings.ranker).learning_rate == settings.ranker.learning_rate
    made = take(ExampleParameters, settings.examples, negatives=0, attribution_gap=5)
    assert (made.found_length, made.negatives, made.attribution_gap) == (settings.examples.found_length, 0, 5)
