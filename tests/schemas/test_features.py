from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from schemas import features
from schemas.contract import Column, Part
from schemas.docs import tables_page
from schemas.examples import ranker_examples
from schemas.feature import Feature, Reads
from schemas.features import COUNTED, FEATURES, OF_USER, PARTS, SWITCHES, declarations_digest, switch_lines
from schemas.settings import load_settings


def declared(**given: object) -> Feature:
    made = {"name": "x", "type": "INT", "comment": "An x", "reads": Reads.LOG1P, **given}
    return Feature(**made)  # type: ignore[arg-type]


def test_the_settings_are_the_switches_with_their_defaults_and_comments() -> None:
    text = (Path(__file__).parents[2] / "conf" / "default.toml").read_text(encoding="utf-8")
    (section,) = (part for part in text.split("\n\n") if part.startswith("[ranker.use]"))
    assert section.splitlines()[1:] == switch_lines(), "conf/default.toml: [ranker.use] must be schemas.features'"
    use = load_settings().ranker.use
    assert use.model_dump() == {switch.name: switch.default for switch in SWITCHES}
    assert use.on == tuple(switch.name for switch in SWITCHES if switch.default)
    assert load_settings((), ["ranker.use.pairs=true", "ranker.use.text=true"]).ranker.use.on == tuple(
        switch.name for switch in SWITCHES
    )


def test_every_switch_that_is_named_is_declared() -> None:
    names = {switch.name for switch in SWITCHES}
    assert len(names) == len(SWITCHES)
    assert {feature.switch for feature in FEATURES} - {None} <= names
    assert {switch.needs for switch in SWITCHES} - {None} <= names


def test_columns_of_the_examples_are_the_features_in_their_order() -> None:
    names = ranker_examples(["click"]).names
    first = names.index(FEATURES[0].name)
    assert names[first : first + len(FEATURES)] == [feature.name for feature in FEATURES]
    assert OF_USER == ("hour", "weekday", "history_length")
    assert not {name for name in COUNTED if name in PARTS}


def test_a_struct_says_what_each_of_its_parts_holds() -> None:
    feature = declared(type="FLOAT", parts=(("best", "The user's best"), ("mean", "The mean")))
    assert feature.column == Column(
        "x", "STRUCT<best: FLOAT, mean: FLOAT>", "An x", nullable=False,
        parts=(Part("best", "FLOAT", "The user's best"), Part("mean", "FLOAT", "The mean")),
    )  # fmt: skip
    assert feature.column.commented_type == (
        "STRUCT<best: FLOAT COMMENT 'The user\\'s best', mean: FLOAT COMMENT 'The mean'>"
    )
    assert declared(width=3).column.type == "ARRAY<INT>"
    assert "| `similarity.best` | FLOAT |" in tables_page()


def test_numbers_of_the_head_follow_from_the_declaration() -> None:
    two = (("a", "An a"), ("b", "A b"))
    assert declared().numbers == 1
    assert declared(width=16).numbers == 16
    assert declared(parts=two).numbers == 2
    assert declared(parts=two, tells_presence=True).numbers == 3
    assert declared(reads=Reads.ID).numbers == declared(reads=Reads.BUCKET).numbers == 0


def test_comments_are_read_alone() -> None:
    comments = [f.comment for f in FEATURES] + [comment for f in FEATURES for _, comment in f.parts]
    assert not [words for words in comments if words.startswith(("Those", "These", "The same", "Its", "It "))]
    assert len(set(comments)) == len(comments)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"}, {"type": "FLOAT"}, {"reads": Reads.AS_IS}, {"width": 4}, {"tells_presence": True},
        {"parts": (("a", "An a"),)}, {"reads": Reads.CATEGORY, "values": 3},
    ],
)  # fmt: skip
def test_whatever_weights_depend_on_gives_another_format(
    change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = declarations_digest()
    place = next(n for n, feature in enumerate(FEATURES) if feature.name == "taken")
    monkeypatch.setattr(features, "FEATURES", (*FEATURES[:place], replace(FEATURES[place], comment="Other words")))
    words = features.declarations_digest()
    monkeypatch.setattr(features, "FEATURES", (*FEATURES[:place], FEATURES[place]))
    assert words == features.declarations_digest() != before
    monkeypatch.setattr(features, "FEATURES", (*FEATURES[:place], replace(FEATURES[place], **change)))
    assert features.declarations_digest() != words


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"parts": (("a", "An a"),), "width": 3}, "give one of them"),
        ({"reads": Reads.CATEGORY}, "only for a category"),
        ({"values": 3}, "only for a category"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(wrong: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=f"feature x: .*{complaint}"):
        declared(**wrong)


@pytest.mark.parametrize("name", ["recent_days", "found_days", "label_x"])
def test_a_name_that_is_a_historys_or_a_labels_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"feature {name}: names that begin with"):
        declared(name=name)
