"""init on files as a newcomer has them: what it writes is what a night needs."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs import ingest, init
from lake.execution import new_run_id, run_job
from lake.lake import Lake
from schemas.errors import UserError
from schemas.settings import load_settings

HEADER = "visitor:token\tmovie_id:token\trating:float\tseen:token\n"


def inputs(folder: Path, *more: str) -> tuple[Path, Path]:
    """A log in files of an unknown ending, with a row of each kind that ingest does not take, and its catalogue."""
    log, items = folder / "log.inter", folder / "films.item"
    times = [f"{1 + n % 28:02d}/0{1 + n // 28}/2024 10:{n % 60:02d}" for n in range(112)]
    rows = [f"u{n % 9}\tm{n % 7}\t{1 + n % 5}\t{time}" for n, time in enumerate(times)]
    log.write_text(HEADER + "\n".join([*rows, *more]) + "\n")
    films = [f"m{n}\tFilm number {n}\t{'Drama' if n % 2 else 'Comedy'}" for n in range(7)]
    items.write_text("movie_id:token\tmovie_title:token_seq\tgenre:token\n" + "\n".join(films) + "\n")
    return log, items


def run(make_lake: Callable[..., Lake], log: Path, items: Path, out: Path, *more: str) -> dict[str, Any]:
    lake = make_lake(f'ingest.interactions="{log}"', f'ingest.items="{items}"', *more)
    return init.COMMAND.run(lake, argparse.Namespace(out=str(out))) or {}


ODD = ("u1\tm1\t5\tyesterday", "u1\tnone\t5\t01/01/2024 10:00", "u0\tm0\t1\t01/01/2024 10:00", "u1\tm1")


def test_init_tells_what_it_sees_and_writes_what_it_guesses(
    make_lake: Callable[..., Lake], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log, items = inputs(tmp_path, *ODD)
    run(make_lake, log, items, tmp_path / "night.toml")
    written = tomllib.loads((tmp_path / "night.toml").read_text())
    assert written["ingest"]["rename"] == {
        "visitor:token": "user_id", "movie_id:token": "item_id", "seen:token": "event_time", "rating:float": "label",
        "movie_title:token_seq": "title", "genre:token": "category",
    }  # fmt: skip
    assert written["ingest"]["interactions_files"] == {"format": "csv", "time_format": "dd/MM/yyyy HH:mm"}
    assert (written["ingest"]["label_above"], written["ranking"]["tasks"]) == (3.5, {"like": ["like"]})
    told = capfd.readouterr().err
    assert "interactions              116 rows: 112 taken, 1 folded as duplicates, 3 rejected" in told
    assert "they are read as UTC" in told


def test_what_the_user_has_set_stands_in_the_file(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    log, items = inputs(tmp_path)
    out, model = tmp_path / "night.toml", 'language_model.model="package:another"'
    closing = run(make_lake, log, items, out, "ingest.label_above=1.5", "mine.user2item.steps=7", model)
    written = tomllib.loads(out.read_text())
    assert written["ingest"]["label_above"] == 1.5
    assert written["mine"]["user2item"]["steps"] == 7
    assert written["language_model"] == {"model": "package:another"}
    assert "embed" not in written
    assert closing["metrics"]["ingest.events_by_action/like"] > 80, "ratings of 2 to 5, of 1 to 5"
    assert "run_id" not in closing


@pytest.mark.extras
def test_what_init_counts_is_what_ingest_measures(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    log, items = inputs(tmp_path, *ODD)
    metrics = run(make_lake, log, items, tmp_path / "night.toml")["metrics"]
    lake = Lake(make_lake().spark, load_settings([tmp_path / "night.toml"]), str(tmp_path / "warehouse"))
    measured = run_job(lake, ingest.JOB, new_run_id()).metrics
    assert {name: value for name, value in measured.items() if "unread_column" not in name} == metrics


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("seen:token", "price").replace("/2024", ".5"), "no column can be event_time"),
        (lambda text: text.replace(HEADER, "u0\tm0\t3\t01/01/2024 10:00\n"), "ingest would take|no column can be"),
        (
            lambda text: text.replace(HEADER, "1\t2\t3\t4\n"),
            "its first row is 1, 2, 3, 4, which are values and no names",
        ),
        (lambda _: HEADER, "the input has no rows"),
    ],
)
def test_a_log_that_cannot_be_one_is_one_line(
    make_lake: Callable[..., Lake], tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    log, items = inputs(tmp_path)
    log.write_text(change(log.read_text()))
    with pytest.raises(UserError, match=message):
        run(make_lake, log, items, tmp_path / "night.toml")
    assert not (tmp_path / "night.toml").exists()


def test_nothing_is_overwritten_and_a_missing_file_is_named(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    log, items = inputs(tmp_path)
    out = tmp_path / "night.toml"
    with pytest.raises(UserError, match="there is no folder"):
        run(make_lake, log, items, tmp_path / "none" / "night.toml")
    with pytest.raises(UserError, match=r"none\.csv: no such file"):
        run(make_lake, tmp_path / "none.csv", items, out)
    with pytest.raises(UserError, match="no input has a column who"):
        run(make_lake, log, items, out, 'ingest.rename={who = "user_id"}')
    out.write_text("")
    with pytest.raises(UserError, match="is there already"):
        run(make_lake, log, items, out)
