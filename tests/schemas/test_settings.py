from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.errors import UserError
from schemas.renamed import RENAMED
from schemas.settings import load_settings


def test_later_files_and_assignments_win(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text("[mine]\ntop_k = 5\nbeta = 0.5\n")
    two.write_text("[mine]\ntop_k = 7\n")
    settings = load_settings([one, two], ["mine.max_item_users=9", "language_model.model=some/model"])
    assert (settings.mine.top_k, settings.mine.beta, settings.mine.max_item_users) == (7, 0.5, 9)
    assert settings.language_model.model == "some/model"
    assert settings.mine.alpha1 == 15.0


def test_defaults_of_swing_are_flink_mls() -> None:
    mine = load_settings().mine
    assert (mine.alpha1, mine.alpha2, mine.beta, mine.top_k) == (15, 0, 0.3, 100)
    assert (mine.min_user_items, mine.max_user_items, mine.max_item_users) == (10, 1000, 1000)


def test_what_was_renamed_is_a_setting_under_its_new_name() -> None:
    settings = load_settings()
    for name in RENAMED.values():
        *sections, key = name.split(".")
        section: object = settings
        for part in sections:
            section = getattr(section, part)
        assert hasattr(section, key), name


def test_tasks_are_replaced_whole() -> None:
    assert load_settings((), ['ranking.tasks={buy = ["purchase"]}']).ranking.tasks == {"buy": ["purchase"]}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("mine.topk=1", r"mine\.topk is not a setting"),
        ("endpoint.url=http://me:p@ss@host/v1", r"endpoint\.url: must hold no user .*\(got 'http://\.\.\.@host/v1'\)"),
        ("tracking.mlflow_uri=https://me:word@host", r"tracking\.mlflow_uri: must hold no user"),
        ("mine.top_k=many", r"mine\.top_k: .*integer.*got 'many'"),
        ("mine.top_k=0", r"mine\.top_k: .*greater than or equal to 1"),
        ("nothing.here=1", "nothing is not a setting"),
        ("split.test_share=0.95", "a train period is left"),
        ("mine.max_user_items=3", "max_user_items must not be less than min_user_items"),
        ("ranker.heads=3", r"ranker: heads must divide item_dim: 32 is no multiple of 3"),
        ("ranker.use.taist=true", r"ranker\.use\.taist is not a setting"),
        ("ranker.use.taste=perhaps", r"ranker\.use\.taste: .*boolean.*got 'perhaps'"),
        ("ranker.use_pairs=true", r"ranker\.use_pairs is now ranker\.use\.pairs$"),
        ("ranker.use_tried=true", r"ranker\.use_tried is now ranker\.use\.distinct_items$"),
        ("examples.behaviour.lending=2", r"examples\.behaviour\.lending is now examples\.behaviour\.shrinkage$"),
        ("nonsense", "expected section.key=value"),
        ('ranking.tasks={"Bad Name" = ["x"]}', "ranking.tasks"),
        ("score.as_of=soon", r"score\.as_of: must be a time, e\.g\. 2025-03-31T06:00:00Z \(got 'soon'\)"),
        ('ranking.follows={order = "click"}', "follows names 'order', which is no task"),
        ('ranking.follows={click = "click"}', "follows goes round in a circle from 'click'"),
    ],
)
def test_mistakes_are_named(assignment: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_settings((), [assignment])


@pytest.mark.parametrize("old", RENAMED)
def test_a_setting_that_was_renamed_is_named_by_its_new_name(old: str, tmp_path: Path) -> None:
    section, _, name = old.rpartition(".")
    file = tmp_path / "old.toml"
    file.write_text(f"[{section}]\n{name} = 1\n")
    new = RENAMED[old]
    for load in (lambda: load_settings((), [f"{old}=1"]), lambda: load_settings([file])):
        with pytest.raises(UserError, match=rf"^settings: {re.escape(old)} is now {re.escape(new)}$"):
            load()
    found: object = load_settings()
    for part in new.split("."):
        found = getattr(found, part)


def test_the_product_of_fsq_levels_fits_a_column() -> None:
    assert load_settings((), [f"codebook.fsq.levels={[2] * 30}"]).codebook.fsq.levels == [2] * 30
    with pytest.raises(UserError, match=r"codebook\.fsq: the product of levels must fit an INT column"):
        load_settings((), [f"codebook.fsq.levels={[2] * 31}"])


def test_files_that_are_missing_or_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--config .*none\.toml: No such file"):
        load_settings([tmp_path / "none.toml"])
    broken = tmp_path / "broken.toml"
    broken.write_text("[mine\n")
    with pytest.raises(UserError, match=r"broken\.toml: not valid TOML"):
        load_settings([broken])


@pytest.mark.parametrize("given", ["2025-03-31", "2025-03-31T00:00:00Z", '"2025-03-31 02:00:00+02:00"'])
def test_moments_are_in_utc(given: str) -> None:
    assert load_settings((), [f"score.as_of={given}"]).score.as_of == "2025-03-31T00:00:00+00:00"


def test_digest_changes_with_its_sections_alone() -> None:
    one, two = load_settings(), load_settings((), ["mine.top_k=5"])
    assert one.digest(["mine", "split"]) != two.digest(["mine", "split"])
    assert one.digest(["split"]) == two.digest(["split"])


@pytest.mark.parametrize("name", ["demo.toml"])
def test_shipped_configs_load(name: str) -> None:
    load_settings([Path(__file__).parents[2] / "conf" / name])


def test_sections_within_sections_are_merged_by_key() -> None:
    settings = load_settings((), ["mine.user2item.dim=8", "judge.reject_share.item2item=0.2"])
    assert settings.mine.user2item.dim == 8
    assert settings.mine.user2item.model == load_settings().mine.user2item.model
    assert settings.judge.reject_share.model_dump() == {"item2item": 0.2, "user2item": 0.7}


@pytest.mark.parametrize(
    "wrong", [["mine.user2item=none", "mine.user2item.dim=8"], ["mine.user2item.features=0"], ["mine.min_support=1"]]
)
def test_wrong_values_in_nested_sections_are_the_users_mistake(wrong: list[str]) -> None:
    with pytest.raises(UserError, match="mine"):
        load_settings((), wrong)
