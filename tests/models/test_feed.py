from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from qarm.models.feed import Feed


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    urls = []
    for part in range(3):
        ids = np.arange(part * 100, part * 100 + 100, dtype=np.int32)
        lists = pa.array([[i, i + 1, i + 2] for i in ids.tolist()], pa.list_(pa.int32()))
        path = tmp_path / f"part-{part}.parquet"
        pq.write_table(pa.table({"id": ids, "items": lists, "name": [str(i) for i in ids]}), path, row_group_size=25)
        urls.append(path.as_uri())
    return urls


def ids_of(feed: Feed, epoch: int) -> list[int]:
    return [i for batch in feed.epoch(epoch) for i in batch["id"].tolist()]


def test_every_row_comes_once_with_its_lists(files: list[str]) -> None:
    batches = list(Feed(files, ["id", "items"], 64, 128, seed=1).epoch(0))
    ids = np.concatenate([batch["id"].numpy() for batch in batches])
    assert sorted(ids.tolist()) == list(range(300))
    items = np.concatenate([batch["items"].numpy() for batch in batches])
    assert np.array_equal(items, ids[:, None] + np.arange(3))
    assert set(batches[0]) == {"id", "items"}


def test_order_depends_on_seed_and_epoch_alone(files: list[str]) -> None:
    feed = Feed(files, ["id"], 32, 128, seed=1)
    first = ids_of(feed, 0)
    assert ids_of(Feed(files, ["id"], 32, 128, seed=1), 0) == first
    assert ids_of(feed, 1) != first
    assert ids_of(Feed(files, ["id"], 32, 128, seed=2), 0) != first
    assert first != sorted(first)


def test_without_shuffling_the_order_is_the_files(files: list[str]) -> None:
    assert ids_of(Feed(files, ["id"], 32, 0, seed=1), 0) == list(range(300))


def test_needs_files() -> None:
    with pytest.raises(ValueError, match="at least one file"):
        Feed([], ["id"], 32, 0, seed=1)
