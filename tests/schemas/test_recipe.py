"""What an artifact is made from: every setting that is not marked otherwise."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import create_model

from schemas.codebook_sections import CodebookSettings
from schemas.language_model_sections import AlignSettings
from schemas.ranking_sections import RankerSettings
from schemas.recipe import HOW_IT_RUNS, NOT_IN_RECIPE, recipe_of, values_of
from schemas.sections import Count, Section
from schemas.settings import load_settings


class Inner(Section):
    size: Count
    shown: Annotated[Count, NOT_IN_RECIPE]


class Outer(Section):
    method: str
    folder: Annotated[str, HOW_IT_RUNS]
    seed: Annotated[Count, "a mark of something else"]
    kmeans: Inner
    fsq: Inner
    spared: Annotated[Inner, NOT_IN_RECIPE]


OUTER = Outer.model_validate(
    {"method": "m", "folder": "f", "seed": 3} | {name: {"size": 1, "shown": 2} for name in ("kmeans", "fsq", "spared")}
)


def test_a_setting_is_in_the_recipe_unless_it_is_marked() -> None:
    assert recipe_of(OUTER) == {"method": "m", "seed": 3, "kmeans_size": 1, "fsq_size": 1}
    assert recipe_of(OUTER, ["fsq"]) == {"method": "m", "seed": 3, "fsq_size": 1}
    assert recipe_of(OUTER, ["kmeans.size"]) == {"method": "m", "seed": 3, "kmeans_size": 1}
    assert recipe_of(OUTER, ["kmeans.shown"]) == {"method": "m", "seed": 3}


def test_a_result_depends_on_all_settings_but_those_of_how_it_runs() -> None:
    inner = {"size": 1, "shown": 2}
    assert values_of(OUTER) == {"method": "m", "seed": 3, "kmeans": inner, "fsq": inner, "spared": inner}


def test_how_a_job_runs_makes_none_stale() -> None:
    as_it_comes = load_settings()
    for setting in ("ranker.checkpoint_folder=elsewhere", "align.checkpoint_steps=3", "examples.events_per_task=9"):
        section = setting.partition(".")[0]
        assert load_settings((), [setting]).digest([section]) == as_it_comes.digest([section]), setting
    assert load_settings((), ["ranker.seed=99"]).digest(["ranker"]) != as_it_comes.digest(["ranker"])


@pytest.mark.parametrize("section", [AlignSettings, CodebookSettings, RankerSettings])
@pytest.mark.parametrize("name", ["whitening", "refit_gently", "neighbours_", "checkpoint_x"])
def test_a_new_setting_of_any_name_is_in_the_recipe(section: type[Section], name: str) -> None:
    old = next(value for value in load_settings().__dict__.values() if type(value) is section)
    new: Any = create_model(
        "New", __base__=section, **{name: (int, ...), f"{name}_2": (Annotated[int, NOT_IN_RECIPE], 1)}
    )
    grown = new.model_validate(old.model_dump() | {name: 5})
    assert recipe_of(grown) == recipe_of(old) | {name: 5}


def test_alignments_of_0_5_are_of_the_same_recipe() -> None:
    assert recipe_of(load_settings().align) == {
        "steps": 0, "pairs": "accepted", "min_support": 5, "batch_contents": 512, "partners": 4, "known_partners": 2048,
        "layers": 0, "lora_rank": 0, "learning_rate": 0.0003, "warmup_share": 0.1, "weight_decay": 0.01,
        "temperature": 0.07, "popularity_correction": 0.0, "question_weight": 0.001, "question_share": 0.25,
        "question_tokens": 24, "open_share": 0.2, "closed_share": 0.6, "bfloat16": True, "seed": 17,
    }  # fmt: skip
