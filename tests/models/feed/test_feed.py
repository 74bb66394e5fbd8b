from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.feed import row_groups
from models.feed.feed import Feed
from models.feed.shuffling import Rows


def write(path: Path, first: int, rows: int, row_group_size: int) -> str:
    ids = np.arange(first, first + rows, dtype=np.int32)
    lists = pa.array([[i, i + 1, i + 2] for i in ids.tolist()], pa.list_(pa.int32()))
    parts = pa.StructArray.from_arrays([pa.array(ids * 2.0), pa.array(ids / 2.0)], names=["double", "half"])
    table = pa.table({"id": ids, "items": lists, "name": [str(i) for i in ids], "parts": parts})
    pq.write_table(table, path, row_group_size=row_group_size)
    return path.as_uri()


@pytest.fixture(params=[False, True], ids=["ahead", "in turns"])
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """300 rows in twelve row groups, read both ways."""
    monkeypatch.setattr(row_groups, "computes_on_all_cores", lambda: request.param)
    return [write(tmp_path / f"part-{part}.parquet", 100 * part, 100, 25) for part in range(3)]


def ids_of(feed: Feed, epoch: int) -> list[int]:
    return [i for batch in feed.epoch(epoch) for i in batch["id"].tolist()]


def test_every_row_comes_once_with_its_lists(files: list[str]) -> None:
    feed = Feed(files, ["id", "items"], batch_size=64, shuffle_rows=128, seed=1)
    batches = list(feed.epoch(0))
    ids = np.concatenate([batch["id"].numpy() for batch in batches])
    assert sorted(ids.tolist()) == list(range(300))
    items = np.concatenate([batch["items"].numpy() for batch in batches])
    assert np.array_equal(items, ids[:, None] + np.arange(3))
    assert set(batches[0]) == {"id", "items"}
    assert [len(batch["id"]) for batch in batches] == [64] * 4 + [44]
    assert (feed.rows, feed.steps) == (300, 5)


def test_a_struct_is_a_matrix_of_its_parts_in_the_order_asked_for(
    files: list[str], monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(row_groups, "ROWS_AT_ONCE", 7)  # pieces begin within the structs that Arrow read
    feed = Feed(
        files,
        ["id", "parts"],
        batch_size=16,
        shuffle_rows=64,
        seed=1,
        shards=3,
        parts={"parts": ("double", "half")},
    )
    batches = [batch for shard in range(3) for batch in feed.sharded(shard, 3).epoch(0)]
    ids, parts = (np.concatenate([batch[name].numpy() for batch in batches]) for name in ("id", "parts"))
    assert sorted(ids.tolist()) == list(range(300))
    assert np.array_equal(parts, np.stack([ids * 2.0, ids / 2.0], axis=1))
    assert not [str(warning.message) for warning in recwarn if "parts" in str(warning.message)]


@pytest.mark.parametrize(
    ("parts", "complaint"), [(("half", "double"), "double, half, not half, double"), ((), "declared")]
)
def test_a_struct_of_other_parts_is_refused(files: list[str], parts: tuple[str, ...], complaint: str) -> None:
    feed = Feed(files, ["id", "parts"], batch_size=16, shuffle_rows=0, seed=1, parts={"parts": parts})
    with pytest.raises(ValueError, match=f"column parts of .*part-0.parquet: the STRUCT's fields are .*{complaint}"):
        list(feed.epoch(0))


def test_order_depends_on_seed_and_epoch_alone(files: list[str]) -> None:
    feed = Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=1)
    first = ids_of(feed, 0)
    assert ids_of(Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=1), 0) == first
    assert ids_of(feed, 1) != first
    assert ids_of(Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=2), 0) != first
    assert first != sorted(first)


def test_an_unfinished_epoch_leaves_the_next_as_it_is(files: list[str]) -> None:
    feed = Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=1)
    next(iter(feed.epoch(0)))
    assert ids_of(feed, 1) == ids_of(Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=1), 1)


def test_a_sample_of_further_files_is_read_again_in_every_epoch(files: list[str]) -> None:
    feed = Feed(files[2:], ["id"], batch_size=32, shuffle_rows=64, seed=3, replayed=files[:2], replayed_rows=60)
    assert (feed.rows, feed.steps) == (160, 5)
    first, second = (ids_of(feed, epoch) for epoch in (0, 1))
    for ids in (first, second):
        assert {i for i in ids if i >= 200} == {*range(200, 300)}
        assert len({*ids}) == len(ids) == 160
    assert {*first} != {*second}, "another sample"
    assert ids_of(feed, 0) == first
    shared = [i for shard in range(3) for i in ids_of(feed.sharded(shard, 3), 0)]
    assert sorted(shared) == sorted(first)
    assert sorted(ids_of(replace(feed, replayed_rows=1000), 0)) == [*range(300)], "no more than there are"


def test_a_batch_mixes_row_groups(files: list[str]) -> None:
    batch = next(iter(Feed(files, ["id"], batch_size=32, shuffle_rows=128, seed=1).epoch(0)))
    assert len({i // 25 for i in batch["id"].tolist()}) >= 5


def test_without_shuffling_the_order_is_the_files(files: list[str]) -> None:
    assert ids_of(Feed(files, ["id"], batch_size=32, shuffle_rows=0, seed=1), 0) == list(range(300))
    assert ids_of(Feed(files[::-1], ["id"], batch_size=32, shuffle_rows=0, seed=1), 0) == [
        *range(200, 300),
        *range(100, 200),
        *range(100),
    ]


def test_long_row_groups_are_read_in_pieces(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ids_of(Feed(files, ["id"], batch_size=32, shuffle_rows=0, seed=1), 0)
    monkeypatch.setattr(row_groups, "ROWS_AT_ONCE", 7)
    feed = Feed(files, ["id"], batch_size=32, shuffle_rows=0, seed=1)
    assert ids_of(feed, 0) == whole
    shards = [ids_of(feed.sharded(shard, 7), 0) for shard in range(7)]
    assert [i for shard in shards for i in shard] == whole


def test_where_torch_computes_on_all_cores_pieces_are_decoded_while_the_caller_waits(
    files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []

    def noted(batch: pa.RecordBatch, columns: row_groups.Columns, path: str) -> Rows:
        decoded.append(len(batch))
        return tensors(batch, columns, path)

    tensors = row_groups._tensors
    monkeypatch.setattr(row_groups, "_tensors", noted)
    monkeypatch.setattr(row_groups, "ROWS_AT_ONCE", 5)
    ahead = []
    for taken, _ in enumerate(Feed(files, ["id"], batch_size=5, shuffle_rows=0, seed=1).epoch(0), 1):
        time.sleep(0.01)
        ahead.append(len(decoded) - taken)
    if row_groups.computes_on_all_cores():
        assert max(ahead) <= 1
    else:
        assert 1 < max(ahead) <= 4


@pytest.mark.parametrize("shuffle_rows", [0, 64])
@pytest.mark.parametrize(("shards", "group_size"), [(2, 25), (5, 25), (7, 50), (5, 1000), (400, 25)])
def test_shards_share_every_row_once(tmp_path: Path, shards: int, group_size: int, shuffle_rows: int) -> None:
    """With 1000 rows a group there are three row groups for five shards; with 400 shards some have no row."""
    files = [write(tmp_path / f"part-{part}.parquet", 100 * part, 100, group_size) for part in range(3)]
    feed = Feed(files, ["id"], batch_size=16, shuffle_rows=shuffle_rows, seed=3)
    batches = [[batch["id"].tolist() for batch in feed.sharded(shard, shards).epoch(2)] for shard in range(shards)]
    seen = Counter(i for shard in batches for batch in shard for i in batch)
    assert seen == Counter(range(300))
    sizes = [sum(map(len, shard)) for shard in batches]
    assert max(sizes) - min(sizes) <= 1
    assert {feed.sharded(shard, shards).steps for shard in range(shards)} == {max(map(len, batches))}
    assert max(map(len, batches)) - min(map(len, batches)) <= 1


def test_shards_change_from_epoch_to_epoch(files: list[str]) -> None:
    feed = Feed(files, ["id"], batch_size=16, shuffle_rows=64, seed=3, shards=2)
    assert set(ids_of(feed, 0)) != set(ids_of(feed, 1))


def test_one_row_and_a_shard_without_any(tmp_path: Path) -> None:
    feed = Feed([write(tmp_path / "one.parquet", 0, 1, 10)], ["id"], batch_size=16, shuffle_rows=64, seed=3)
    shards = [list(feed.sharded(shard, 2).epoch(0)) for shard in range(2)]
    assert [len(batches) for batches in shards] == [0, 1]
    assert feed.sharded(0, 2).steps == 1


def test_paths_with_spaces_and_partitions(tmp_path: Path) -> None:
    folder = tmp_path / "a b%" / "split=train"
    folder.mkdir(parents=True)
    assert ids_of(
        Feed([write(folder / "x.parquet", 0, 5, 10)], ["id"], batch_size=16, shuffle_rows=0, seed=3), 0
    ) == list(range(5))


def broken(tmp_path: Path, **columns: pa.Array) -> list[str]:
    path = tmp_path / "broken.parquet"
    pq.write_table(pa.table(columns), path)
    return [path.as_uri()]


@pytest.mark.parametrize(
    ("column", "complaint"),
    [
        (pa.array([1, None, 3], pa.int32()), "null is not allowed"),
        (pa.array([[1], None, [3]], pa.list_(pa.int32())), "null is not allowed"),
        (pa.array([[1], [None], [3]], pa.list_(pa.int32())), "null is not allowed"),
        (pa.array([[1], [2, 3], [3]], pa.list_(pa.int32())), "differ in length"),
        (pa.array([[1, 2, 3], [4], [5, 6]], pa.list_(pa.int32())), "differ in length"),
        (pa.array(["a", "b", "c"]), "string is not a numeric type"),
        (pa.array([{"x": 1}, None, {"x": 3}]), "null is not allowed"),
        (pa.array([{"x": 1}, {"x": None}, {"x": 3}]), "null is not allowed"),
        (pa.array([{"x": "a"}, {"x": "b"}, {"x": "c"}]), "is not a numeric type"),
    ],
)
def test_what_is_no_tensor_is_refused_by_name(tmp_path: Path, column: pa.Array, complaint: str) -> None:
    feed = Feed(
        broken(tmp_path, good=pa.array([1, 2, 3]), bad=column),
        ["good", "bad"],
        batch_size=2,
        shuffle_rows=0,
        seed=1,
        parts={"bad": ("x",)},
    )
    with pytest.raises(ValueError, match=f"column bad of .*broken.parquet: .*{complaint}"):
        list(feed.epoch(0))


def test_a_column_that_is_not_there_is_named(files: list[str]) -> None:
    with pytest.raises(ValueError, match=r"column score is missing in .*part-0"):
        list(Feed(files, ["id", "score"], batch_size=32, shuffle_rows=0, seed=1).epoch(0))


def test_needs_files_and_a_shard_that_is_there() -> None:
    with pytest.raises(ValueError, match="at least one Parquet file"):
        Feed([], ["id"], batch_size=32, shuffle_rows=0, seed=1)
    with pytest.raises(ValueError, match="shard must be from 0 to 1, not 2"):
        Feed(["file:///a"], ["id"], batch_size=32, shuffle_rows=0, seed=1, shard=2, shards=2)


def test_a_process_may_end_within_an_epoch(tmp_path: Path) -> None:
    """The reading thread is stopped first: in Arrow's code at that moment, it would abort the process."""
    files = [write(tmp_path / "many.parquet", 0, 60_000, 60_000)]
    feed = f"Feed({files}, ['id', 'items'], batch_size=8, shuffle_rows=64, seed=1)"
    code = f"from models.feed.feed import Feed; left = {feed}.epoch(0); next(left)"
    forks = f"import os, models.feed.feed\nfor _ in range(3):\n  if not os.fork():\n    {code}\n    break\n"
    forks += "  assert os.wait()[1] == 0"  # the children leave the loop and end as any process does
    subprocess.run([sys.executable, "-c", forks], check=True, timeout=60)


def test_only_the_first_rows_of_a_file_are_read_where_a_share_is_given(files: list[str]) -> None:
    feed = Feed(
        files[2:], ["id"], batch_size=32, shuffle_rows=64, seed=3, replayed=files[:2], replayed_rows=60,
        shares={files[2]: 0.255, files[0]: 0.1},
    )  # fmt: skip
    assert feed.rows == 26 + 60
    ids = ids_of(feed, 0)
    assert {i for i in ids if i >= 200} == {*range(200, 226)}
    assert {i for i in ids if i < 100} <= {*range(10)}
    assert len({*ids}) == len(ids) == feed.rows
    assert sorted(ids_of(replace(feed, replayed_rows=1000), 0)) == [*range(10), *range(100, 226)]
    in_order = Feed(files, ["id"], batch_size=32, shuffle_rows=0, seed=3, shares={files[0]: 0.5})
    assert sorted(ids_of(in_order, 0)) == [*range(50), *range(100, 300)]
