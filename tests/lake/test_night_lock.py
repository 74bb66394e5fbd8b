"""Two nightlies on one warehouse."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from lake import night_lock
from lake.lake import Lake
from lake.night_lock import FOLDER, NightLock
from schemas.errors import QarmError, UserError
from schemas.sections import NightlySettings
from schemas.settings import load_settings
from schemas.tables import LOCKS

SETTINGS = load_settings((), ["nightly.heartbeat_seconds=0.1", "nightly.expires_seconds=0.6"]).nightly


def lock(lake: Lake, run_id: str, settings: NightlySettings = SETTINGS) -> NightLock:
    return NightLock(lake.warehouse, run_id, settings)


def test_the_second_is_told_who_holds_it_and_comes_in_afterwards(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    with lock(lake, "first") as held:
        time.sleep(0.8)  # longer than it takes to expire, but it gives signs of life
        host = socket.gethostname()
        with pytest.raises(
            UserError, match=rf"run first on host {host} holds .* since 20.* UTC; its last sign of life"
        ):
            lock(lake, "second").__enter__()
        held.assert_held()
    with lock(lake, "second") as held:
        held.assert_held()
        signs = [file.name for file in lake.files.list(f"{lake.warehouse.root}/{FOLDER}")]
        assert signs == ["second"]
    assert lock(lake, "third").holder() is None
    assert lake.files.list(f"{lake.warehouse.root}/{FOLDER}") == []


def test_a_dead_one_is_replaced_and_stops_if_it_was_only_silent(make_lake: Callable[..., Lake]) -> None:
    lake = make_lake()
    silent = lock(lake, "silent", load_settings((), ["nightly.heartbeat_seconds=40"]).nightly)
    silent.__enter__()
    time.sleep(0.7)
    with lock(lake, "next") as held:
        held.assert_held()
        with pytest.raises(QarmError, match=r"silent was silent for longer .* next on "):
            silent.assert_held()
        silent.__exit__(None, None, None)
        held.assert_held()
    assert lock(lake, "any").holder() is None


def test_of_two_that_start_at_once_one_gets_it(make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look when nobody holds it; Delta lets one commit. The other leaves nothing behind."""
    lake = make_lake()
    patient = load_settings((), ["nightly.expires_seconds=600"]).nightly
    first, second = lock(lake, "first"), lock(lake, "second", patient)
    lake.warehouse.create(LOCKS)
    assert first.holder() is None
    assert second.holder() is None
    assert first._take(None)
    holder, looks = second.holder, iter([lambda: None])
    monkeypatch.setattr(second, "holder", lambda: next(looks, holder)())  # nobody held it at the first look
    with pytest.raises(UserError, match="run first on host"):
        second.__enter__()
    assert [file.name for file in lake.files.list(f"{lake.warehouse.root}/{FOLDER}")] == ["first"]


def test_where_both_commits_succeed_the_later_one_yields(
    make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on S3, where the second commit replaces the first one's file."""
    monkeypatch.setattr(night_lock, "SECONDS_TO_SETTLE", 0.1)
    monkeypatch.setattr(night_lock, "TWO_MAY_COMMIT", ("file",))
    lake, patient = make_lake(), load_settings((), ["nightly.expires_seconds=600"]).nightly
    first, second = lock(lake, "first", patient), lock(lake, "second", patient)

    def replaced(_: object) -> bool:
        """The second one's commit takes the place of the first one's."""
        taken = whole(None)
        second._give_sign()
        lake.warehouse.sql_on(LOCKS, "UPDATE {table} SET run_id = 'second'")
        return taken

    whole = first._take
    monkeypatch.setattr(first, "_take", replaced)
    monkeypatch.setattr(second, "_take", lambda _: True)
    monkeypatch.setattr(second, "_acquire", second._settle)
    with first:
        first.assert_held()
        with pytest.raises(UserError, match="run first is starting on"):
            second.__enter__()
        first.assert_held()
        assert [file.name for file in lake.files.list(f"{lake.warehouse.root}/{FOLDER}")] == ["first"]


def test_one_that_cannot_remove_its_row_is_dead_at_once(
    make_lake: Callable[..., Lake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk no row can be removed, but files can."""
    lake = make_lake()
    patient = load_settings((), ["nightly.expires_seconds=600"]).nightly

    def full(*_: object) -> None:
        raise OSError("No space left on device")

    first = lock(lake, "first", patient)
    first.__enter__()
    assert first.dead is None
    with monkeypatch.context() as patch:
        patch.setattr(lake.warehouse, "sql_on", full)
        first.__exit__(None, None, None)
    with lock(lake, "second", patient) as held:
        held.assert_held()
        assert held.dead is not None
        assert held.dead.run_id == "first"
