from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lake.artifacts import MANIFEST, Artifacts, _remove_unused
from lake.lake import Lake
from lake.run import Run
from schemas.errors import QarmError, UserError
from udfs.workers import shipped


@pytest.fixture(params=["folder", "viewfs"])
def artifacts(request: pytest.FixtureRequest, make_lake: Callable[..., Lake]) -> Artifacts:
    elsewhere = f"viewfs://test/data/{abs(hash(request.node.name))}"
    return make_lake(location=elsewhere if request.param == "viewfs" else None).artifacts


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "made"
    made.mkdir()
    (made / "weights.bin").write_bytes(bytes(range(256)) * 10)
    return made


def test_comes_back_as_it_was_and_reaches_the_executors(artifacts: Artifacts, folder: Path, run: Run) -> None:
    published = artifacts.publish("model", folder, {"recipe": {"a": 1}})
    assert artifacts.latest("model") == published
    assert (artifacts.fetch(published) / "weights.bin").read_bytes() == (folder / "weights.bin").read_bytes()
    name = artifacts.ship(published)
    sizes = run.spark.sparkContext.parallelize(range(2), 2).map(
        lambda _: len((shipped(name) / "weights.bin").read_bytes())
    )
    assert sizes.collect() == [2560, 2560]


def test_without_its_manifest_it_is_not_there(artifacts: Artifacts, folder: Path) -> None:
    published = artifacts.publish("model", folder, {})
    artifacts._files.delete(f"{published.url}/{MANIFEST}")
    assert artifacts.latest("model") is None
    with pytest.raises(QarmError, match=f"{published.version} is not complete"):
        artifacts.get("model", published.version)


def test_a_damaged_file_is_named(artifacts: Artifacts, folder: Path) -> None:
    published = artifacts.publish("model", folder, {})
    artifacts._files.delete(f"{published.url}/weights.bin")
    artifacts._files.write_text(f"{published.url}/weights.bin", "truncated")
    with pytest.raises(QarmError, match=r"weights\.bin is damaged"):
        artifacts.fetch(published)


def test_a_damaged_manifest_is_named(artifacts: Artifacts, folder: Path) -> None:
    published = artifacts.publish("model", folder, {})
    artifacts._files.write_text(f"{published.url}/{MANIFEST}", '{"card": {')
    with pytest.raises(QarmError, match=rf"{published.version}: {MANIFEST} is damaged; restore the file, or remove"):
        artifacts.latest("model")


def test_copies_that_nothing_fetches_go(tmp_path: Path) -> None:
    for name, days in (("old", 8), ("new", 6)):
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
        os.utime(tmp_path / name, times=(time.time() - days * 86_400,) * 2)
    _remove_unused(tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["new"]


def test_newer_versions_come_later(artifacts: Artifacts, folder: Path) -> None:
    first = artifacts.publish("model", folder, {"n": 1})
    second = artifacts.publish("model", folder, {"n": 2})
    assert artifacts.versions("model") == [first.version, second.version]
    assert artifacts.get("model", first.version).card == {"n": 1}


def test_pruning_keeps_the_newest(artifacts: Artifacts, folder: Path) -> None:
    versions = [artifacts.publish("model", folder, {"n": n}).version for n in range(3)]
    artifacts.prune("model", keep=2)
    assert artifacts.versions("model") == versions[1:]


def test_none_yet_names_the_job_that_makes_it(artifacts: Artifacts) -> None:
    with pytest.raises(UserError, match="run fit_codebook first"):
        artifacts.require("codebook", "fit_codebook")


def test_made_once_per_recipe(run: Run) -> None:
    made: list[str] = []

    def make(folder: Path) -> None:
        made.append("x")
        (folder / "file").write_text(json.dumps(len(made)))

    one = run.made_once("thing", {"size": 1}, make)
    assert run.made_once("thing", {"size": 1}, make) == one
    assert run.made_once("thing", {"size": 2}, make) != one
    assert len(made) == 2
    assert run.made_once("thing", {"size": 1}, make) == one, "an older version of the same recipe is found again"
    assert run.inputs["thing"] == one.version


def test_going_back_to_a_recipe_makes_its_artifact_current_again(run: Run, folder: Path) -> None:
    first = run.publish("book", folder, {"size": 1})
    second = run.publish("book", folder, {"size": 2})
    assert run.use("book", "fit") == second
    assert run.reuse("book", {"size": 1}) == first
    assert run.use("book", "fit") == first
    assert run.reuse("book", {"size": 3}) is None


def test_newer_settings_replace_nothing_where_they_may_be_lacking(run: Run, folder: Path) -> None:
    first = run.publish("book", folder, {"size": 1})
    run.publish("book", folder, {})
    assert run.reuse("book", {"size": 1, "ink": "red"}) is None
    assert run.reuse("book", {"size": 2, "ink": "red"}, may_lack_newer_settings=True) is None
    assert run.reuse("book", {"ink": "red"}, may_lack_newer_settings=True) is None, "what it was made from still counts"
    assert run.reuse("book", {"size": 1, "ink": "red"}, may_lack_newer_settings=True) == first
    assert run.use("book", "fit") == first


def test_a_folder_may_have_any_name(make_lake: Callable[..., Lake], folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / "ware house=1 100%20 a+b #1?"
    lake = make_lake(location=str(odd))
    lake.files.write_text(f"{lake.warehouse.root}/texts/one", "first")
    lake.files.write_text(f"{lake.warehouse.root}/texts/one", "second")
    assert lake.files.read_text(f"{lake.warehouse.root}/texts/one") == "second"
    assert [path.name for path in (odd / "texts").iterdir()] == ["one"], "nothing is left beside it"
    published = lake.artifacts.publish("model", folder, {})
    assert lake.artifacts.fetch(published).parent == odd / "_artifacts" / "model"
    assert lake.files.local_path(published.url) == lake.artifacts.fetch(published)


def test_a_text_is_replaced_on_other_file_systems_too(make_lake: Callable[..., Lake]) -> None:
    files = make_lake().files
    url = f"viewfs://test/data/texts-{time.time_ns()}"
    for text in ("first", "second"):
        files.write_text(f"{url}/one", text)
        assert files.read_text(f"{url}/one") == text
    assert [status.name for status in files.list(url)] == ["one"]
    assert abs(files.now(url).timestamp() - time.time()) < 5


def test_two_processes_may_check_one_new_folder_at_once(make_lake: Callable[..., Lake], tmp_path: Path) -> None:
    files, folder = make_lake().files, str(tmp_path / "new")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: files.ensure_writable(folder), range(200)))
    assert not Path(folder).exists()
