from __future__ import annotations

import json
import math
from typing import Any

import pytest

from jobs.page.figure import Figure
from jobs.page.history import cards, sparkline, verdict_of
from jobs.page.page import figure, number, render, signed
from jobs.page.quality import training_figures
from tests.jobs.page.pages import HOSTILE, TASKS, Reader, context, history, page


@pytest.fixture(scope="module")
def made() -> Reader:
    return Reader(page())


def test_texts_of_users_stay_texts(made: Reader) -> None:
    """Titles, categories, words and slices that try to be markup, a script, the end of one, or a template."""
    assert len(made.of("script")) == 3
    assert not made.of("img")
    assert "alert(1)" not in "".join(script for script in made.scripts if not script.lstrip().startswith("{"))
    assert "".join(made.texts).count("</script><script>alert(1)") >= 4
    data = json.loads(next(script for script in made.scripts if script.lstrip().startswith('{"')))
    assert HOSTILE in "".join(data["map"]["data"]["title"])[: len(HOSTILE)]
    assert "{{ 7 * 7 }}" in "".join(made.texts)


def test_the_page_needs_nothing_else(made: Reader) -> None:
    for tag, attributes in made.tags:
        for name in ("src", "href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    policy = next(one["content"] for one in made.of("meta") if "http-equiv" in one)
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert policy.count("'sha256-") == 2
    assert "http" not in policy


def test_every_picture_has_words_and_every_table_a_caption(made: Reader) -> None:
    plots = [one for one in made.of("div") if "plot" in (one.get("class") or "")]
    data = json.loads(next(script for script in made.scripts if script.lstrip().startswith('{"')))
    assert {one["id"] for one in plots} == {f"plot-{name}" for name in data}
    assert len(plots) > 12
    assert all(len(one["aria-label"] or "") > 5 for one in plots)
    assert len(made.of("caption")) == len(made.of("table"))
    assert all(one.get("scope") == "col" for one in made.of("th"))
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_one_night_alone_and_no_map_make_a_page_too() -> None:
    alone = page(nights=1, map_contents=3)
    assert "The first night: nothing to compare with" in alone
    assert "There is no map" in alone
    full = render(
        {**context(), "publication": {"word": "held back", "text": "Readers see another.", "reasons": ["<b>"]}}
    )
    assert "Held back" in full
    assert "<li>&lt;b&gt;</li>" in full


@pytest.mark.parametrize(
    ("now", "before", "word"),
    [(0.82, 0.80, "better"), (0.80, 0.82, "worse"), (0.805, 0.80, "same"), (0.80, 0.805, "same")],
)
def test_the_verdict_goes_by_the_interval(now: float, before: float, word: str) -> None:
    found = verdict_of(history(2, (now, before)), TASKS, "night-1")
    assert found.word == word
    assert f"{now:.4f} (95 % interval {now - 0.01:.4f} to {now + 0.01:.4f})" in found.reasons[0]


def test_one_task_that_is_worse_makes_the_night_worse() -> None:
    of = history(2, (0.82, 0.80))
    of["order.auc", "test"] = history(2, (0.80, 0.82))["order.auc", "test"]
    of["order.auc_high", "test"] = history(2, (0.80, 0.82))["order.auc_high", "test"]
    assert verdict_of(of, TASKS, "night-1").word == "worse"


def test_a_night_that_did_not_measure_the_ranker_is_the_same() -> None:
    found = verdict_of(history(2, (0.9, 0.8)), TASKS, "night-2")
    assert found.word == "same"
    assert "night-2 stands" in found.reasons[0]


def test_numbers_as_people_read_them() -> None:
    assert [number(None), number(1234.5), signed(0.1, 2), signed(-1.0)] == ["–", "1,234.5000", "+0.10", "-1.0000"]
    assert [figure(None), figure(3.0), figure(0.25), figure(-1e-6)] == ["–", "3", "0.2500", "0"]
    assert sparkline([1.0]) == ""
    assert sparkline([1.0, 2.0]) == "0.0,22.0 100.0,2.0"
    assert sparkline([1.0, 1.0]) == "0.0,22.0 100.0,22.0"


def no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def figures_of(text: str) -> dict[str, Any]:
    """The data of a page, read as strictly as a browser does."""
    data = next(script for script in Reader(text).scripts if script.lstrip().startswith('{"'))
    return dict(json.loads(data, parse_constant=no_constant))


@pytest.mark.parametrize("before", [{}, {"loss": math.nan}], ids=["now", "an earlier ranker"])
def test_a_training_that_goes_on_has_no_loss_at_step_0(before: dict[str, float]) -> None:
    points = [{"step": 0, "auc": 0.7, **before}, {"step": 10, "loss": 0.5, "auc": 0.8}]
    figures = training_figures({"qarm": {"points": points}})
    drawn = figures_of(render({**context(), "training": figures}))
    assert drawn["training-loss"]["data"]["series"][0]["points"] == [[10, 0.5]]
    assert drawn["training-auc"]["data"]["series"][0]["points"] == [[0, 0.7], [10, 0.8]]
    assert [figure.rows for figure in figures] == [[["ranker", 10, 0.5]], [["ranker", 0, 0.7], ["ranker", 10, 0.8]]]


def test_numbers_that_json_does_not_know_are_gaps() -> None:
    odd = Figure(name="odd", title="odd", alt="odd", kind="lines", data={"points": [[1, math.nan], (2.0, -math.inf)]})
    assert figures_of(render({**context(), "training": [odd]}))["odd"]["data"] == {"points": [[1, None], [2.0, None]]}


def test_an_interval_of_an_earlier_night_is_not_shown() -> None:
    of = history(2, (0.82, 0.80))
    for end in ("low", "high"):
        del of[f"click.auc_{end}", "test"][0]
    assert verdict_of(of, ["click"], "night-1").reasons == [
        "The test AUC of click is 0.8200, after 0.8000 before; there are too few users for an interval."
    ]
    card = cards(of, ["click"])[0]
    assert (card["low"], card["high"], card["word"]) == (None, None, "better")


def test_the_page_tells_how_many_contents_moved() -> None:
    row = {"title": "tea", "item_id": "i", "reason": "changed text", "old_sid": "1", "new_sid": "2", "items": 1}
    moved = {**context(), "moved": [row | {"table_version": 3}] * 200}
    summary = "contents whose semantic ID changed in version 3</summary>"
    assert f"<summary>The first 200 of 1,234 {summary}" in render({**moved, "all_moved": 1234})
    assert f"<summary>200 {summary}" in render({**moved, "all_moved": 200})


def test_the_map_has_short_numbers_and_a_short_heading() -> None:
    text = page()
    data = figures_of(text)["map"]["data"]
    assert all(len(str(abs(value))) <= 5 for value in data["x"] + data["y"])
    told = "120 distinct contents, similar ones near each other, coloured by their 6 first codes"
    assert f'<h3 id="title-map">{told}</h3>' in text
    assert f'aria-label="{told}. The table of first codes below says the same in words"' in text
