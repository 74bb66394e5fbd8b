"""Pages that are written from the code are current, and the picture of the data flow names every job."""

from __future__ import annotations

import re
import tomllib

import pytest

from jobs.nightly import nightly_jobs
from schemas.files import ROOT, packaged_text
from schemas.settings_page import described, settings_page


def test_the_page_on_settings_is_current() -> None:
    written = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    assert written == settings_page(), "run: python -m schemas.settings_page > docs/settings.md"


def test_every_setting_is_on_the_page_with_its_default() -> None:
    text = packaged_text("conf", "default.toml")
    values = tomllib.loads(text)
    for section in described(text):
        inner = values
        for name in section.name.split("."):
            inner = inner[name]
        assert section.settings
        for one in section.settings:
            assert tomllib.loads(f"value = {one.value}")["value"] == inner[one.name]
        assert section.comment or section.settings[0].comment, f"[{section.name}] begins without a word on it"
    count = sum(len(section.settings) for section in described(text))
    assert count == len(re.findall(r"^\w+ = ", text, flags=re.MULTILINE))


def test_a_line_that_is_no_setting_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a section"):
        described("[a]\nb = 1\nwhat is this")


def test_a_comment_may_hold_a_mark_and_a_value_too() -> None:
    found = described('[a]\nb = "x # y" # why # really\n      # and so on')[0].settings[0]
    assert (found.value, found.comment) == ('"x # y"', "why # really and so on")


def test_the_picture_of_the_data_flow_names_every_job() -> None:
    picture = (ROOT / "docs" / "data-flow.svg").read_text(encoding="utf-8")
    for job in nightly_jobs():
        assert f">{job.name}<" in picture, job.name
