"""What the beginning of a CSV file tells, without Spark."""

from __future__ import annotations

import pytest

from lake.inputs.dialect import Dialect, decoded, dialect_of, encoding_of, with_escape
from schemas.settings import load_settings

PLAIN = load_settings().ingest.interactions_files
WANTED = ("user_id", "item_id", "event_time")


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_gives_known_names(separator: str) -> None:
    header = separator.join(["user_id", 'a "b", c; d|e', "ITEM_ID", "event_time"]) + "\n"
    assert dialect_of(header, "utf-8", PLAIN, WANTED).separator == separator


def test_of_unknown_names_the_separator_with_most_fields_counts() -> None:
    assert dialect_of("who;what, where;when\n", "utf-8", PLAIN, WANTED).separator == ";"


def test_what_the_user_sets_counts() -> None:
    chosen = PLAIN.model_copy(update={"separator": "#", "quote": "'", "escape": "^"})
    assert dialect_of("user_id,item_id", "utf-8", chosen, WANTED) == Dialect("#", "'", "^", "utf-8")


@pytest.mark.parametrize(
    ("lines", "escape"),
    [
        ([r'1,"Pipe 12\", steel"'], "\\"),
        ([r'1,"say \"hi\""'], "\\"),
        ([r'"C:\dir\",2'], '"'),
        ([r'1,"C:\dir\"""'], '"'),
        ([], '"'),
        ([r'"C:\dir\",2', r'1,"Pipe 12\", steel"', r'2,"Pipe 13\", steel"'], "\\"),
    ],
)
def test_the_escape_is_the_one_that_gives_whole_rows(lines: list[str], escape: str) -> None:
    assert with_escape(Dialect(",", '"', '"', "utf-8"), lines, 2).escape == escape


@pytest.mark.parametrize(
    ("head", "named", "encoding"),
    [
        (b"a,b", "", "utf-8"),
        (b"\xef\xbb\xbfa,b", "", "utf-8"),
        (b"\xff\xfea\0", "", "utf-16"),
        (b"a,b", "Latin-1", "iso8859-1"),
        (b"a,b", "UTF_8", "utf-8"),
    ],
)
def test_encoding(head: bytes, named: str, encoding: str) -> None:
    assert encoding_of(head, named) == encoding
    assert decoded(head, encoding).startswith("a")


def test_a_character_that_is_cut_off_is_left_out() -> None:
    assert decoded("aé".encode()[:-1], "utf-8") == "a"
