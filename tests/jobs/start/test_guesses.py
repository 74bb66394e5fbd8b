"""One setting renames columns of both inputs, so a name must mean the same in both."""

from __future__ import annotations

import pytest

from jobs.start.choices import Choice
from jobs.start.guesses import Look, guess, reading_choices
from jobs.start.said import said_choices, unless_said
from lake.inputs.files import Place
from schemas.errors import UserError
from schemas.settings import load_settings
from tests.jobs.start.test_columns import TIMES, column

INGEST = load_settings().ingest


def look(name: str, *names: str) -> Look:
    place = Place(
        option=f"--{name}", path=f"{name}.csv", form="csv", form_option="", settings=INGEST.items_files,
        section=f"ingest.{name}_files",
    )  # fmt: skip
    values = {"event_time": TIMES, "name": ("red apples", "ripe pears"), "title": ("red apples", "ripe pears")}
    return Look(place, [column(each, *values.get(each, (1, 2, 3)), rows=3) for each in names])


def settings(log: Look, items: Look, **renames: str) -> dict[str, object]:
    given = INGEST.model_copy(update={"rename": renames})
    rating = guess(log, items, given)
    return {choice.setting: choice.value for choice in reading_choices(log, items, rating)}


def test_names_that_agree_are_renamed_once() -> None:
    found = settings(look("interactions", "buyer", "sku", "event_time"), look("items", "sku", "name", "price"))
    assert found["ingest.rename"] == {"buyer": "user_id", "sku": "item_id", "name": "title"}
    assert found["ingest.interactions"] == "interactions.csv"


def test_a_column_of_the_other_input_that_would_be_renamed_too_is_refused() -> None:
    with pytest.raises(UserError, match=r"--items items\.csv: column id is item_id, but --interactions has another"):
        settings(look("interactions", "id", "user_id", "product_id", "event_time"), look("items", "id", "title"))
    with pytest.raises(UserError, match="column id is user_id, but --items has another column of this name"):
        settings(look("interactions", "id", "sku", "event_time"), look("items", "id", "title"), id="user_id")


def test_a_column_that_means_nothing_in_the_other_input_may_have_the_name() -> None:
    found = settings(look("interactions", "user_id", "item_id", "event_time", "name"), look("items", "item_id", "name"))
    assert found["ingest.rename"] == {"name": "title"}


def test_a_rename_of_no_column_is_refused() -> None:
    log = look("interactions", "user_id", "item_id", "event_time")
    with pytest.raises(UserError, match="--rename who=user_id: no input has a column who"):
        settings(log, look("items", "item_id", "title"), who="user_id")


def test_all_that_the_user_says_about_columns_is_kept() -> None:
    log = look("interactions", "user_id", "item_id", "event_time", "liked")
    items = look("items", "item_id", "title", "photo", "specs")
    found = settings(log, items, liked="label", photo="image", specs="attributes")
    assert found["ingest.rename"] == {"liked": "label", "photo": "image", "specs": "attributes"}
    assert [(guess.theirs, guess.why) for guess in log.guesses[3:]] == [("liked", "--rename says so")]
    assert found["ingest.label_above"] == 2.5


def test_what_the_user_has_set_is_written_and_goes_before_a_guess() -> None:
    said = said_choices(
        load_settings((), ["ingest.label_above=2.5", "ingest.earliest=2001-01-01T00:00:00Z", "ingest.items=x.csv"])
    )
    assert {choice.setting: choice.value for choice in said} == {
        "ingest.label_above": 2.5, "ingest.earliest": "2001-01-01T00:00:00Z",
    }  # fmt: skip
    guessed = [Choice("ingest.label_above", 3.5, "guessed"), Choice("ingest.items", "/x.csv", "full")]
    assert [(one.setting, one.value) for one in unless_said(guessed, said)] == [
        ("ingest.items", "/x.csv"), *((one.setting, one.value) for one in said),
    ]  # fmt: skip


def test_a_limit_of_the_user_goes_before_the_upper_part_of_the_scale() -> None:
    log = look("interactions", "user_id", "item_id", "event_time", "stars")
    rating = guess(log, look("items", "item_id", "title"), INGEST, 1.5)
    assert rating is not None
    assert (rating.above, rating.least_positive) == (1.5, 2.0)


def test_what_is_missing_is_told_with_what_there_is() -> None:
    assert "no column can be title (it has a, b); name it with --rename theirs=title" in str(
        look("items", "a", "b").missing("title")
    )
