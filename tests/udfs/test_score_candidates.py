from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.ranker.examples.histories import histories_of
from models.ranker.examples.targets import HOUR, ExampleParameters, Targets, UserEvents
from models.ranker.network.saved import save_ranker
from schemas.features import COUNTED
from tests.models.ranker.serving.test_scorer import TWO_TASKS, random_ranker
from tests.search_indexes import random_index, write
from udfs.examples import SplitPlan, load_search_index, to_arrow
from udfs.score_candidates import score_candidates
from udfs.scoring import score

ITEMS, TASKS = 18, ["click", "order"]
PARAMETERS = ExampleParameters(recent_length=4, found_length=6, search="embedding", negatives=0, attribution_gap=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of a search index and of a ranker."""
    made = tmp_path_factory.mktemp("shipped")
    write(random_index(ITEMS), made)
    save_ranker(random_ranker(TWO_TASKS), made, "qarm")
    return made


def test_an_index_without_behaviour_is_loaded(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.glob("behaviour_*.npy"):
        np.save(path, np.load(path)[:0])
    assert load_search_index(tmp_path).behaviour_fine.shape == (0, ITEMS, 5)


def asked_and_past() -> pa.Table:
    """Events and candidates of users as the job sorts them; u1 has two parts, u3 no history."""
    draw = np.random.default_rng(1)
    rows = []
    for user, parts, events, candidates in (("u1", 2, 25, 30), ("u2", 1, 3, 1), ("u3", 1, 0, 12), ("u4", 1, 9, 0)):
        past = [
            (int(draw.integers(ITEMS)), int(draw.integers(100) * HOUR), int(draw.integers(1, 4))) for _ in range(events)
        ]
        for part in range(parts):
            mine = [(user, part, None, row, time, labels, None) for row, time, labels in past]
            for number in range(candidates):
                row, time = int(draw.integers(ITEMS)), int(draw.choice([50, 100, 101])) * HOUR + 1
                mine.append((user, part, f"item-{number}", row, time, None, int(draw.integers(9))))
            rows += sorted(mine, key=lambda r: (r[4], r[3]))
    names = ["user_id", "part", "item_id", "item_row", "time", "labels", "count"]
    table = pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    count = table["count"].cast(pa.int32())
    table = table.drop(["count"]).set_column(1, "part", table["part"].cast(pa.int32()))
    for name in COUNTED:
        table = table.append_column(name, count)
    return table


def as_examples(table: pa.Table, folder: Path) -> list[dict[str, float]]:
    """The same candidates, scored as examples whose columns are made for each of them."""
    rows, scored = table.to_pandas(), []
    index, plan = load_search_index(folder), SplitPlan(None, 2**60, 2**60, (1.0, 1.0, 1.0))
    for (user, _), mine in rows.groupby(["user_id", "part"], sort=False):
        past, asked = mine[mine["item_id"].isna()], mine[mine["item_id"].notna()]
        if len(asked) == 0:
            continue
        labels = past["labels"].to_numpy(np.int64)[:, None] >> np.arange(2) & 1
        flags, keys = np.zeros(len(past), bool), np.zeros(len(past), np.uint64)
        events = UserEvents(past["item_row"].to_numpy(), past["time"].to_numpy(), labels.astype(bool), flags, keys)
        targets = Targets(
            asked["item_row"].to_numpy(), asked["time"].to_numpy(), np.zeros((len(asked), 2), bool),
            np.zeros(len(asked), np.uint64),
        )  # fmt: skip
        batch = to_arrow([(user, targets, histories_of(events, targets, index, PARAMETERS))], plan, tasks=TASKS)
        made = pa.Table.from_batches([batch])
        for name in COUNTED:
            made = made.append_column(name, pa.array(asked[name].astype(np.int32)))
        output = pa.Table.from_batches(score(str(folder), ["qarm"], ["user_id"])(made.to_batches()))
        scored += [
            {"user_id": user, "item_id": item, "score_click": click, "score_order": order}
            for item, click, order in zip(
                asked["item_id"], *(output[f"qarm_{task}"].to_pylist() for task in TASKS), strict=True
            )
        ]
    return scored


def test_candidates_score_as_examples_of_the_same_moment_do(folder: Path) -> None:
    table = asked_and_past()
    run = score_candidates(str(folder), "qarm", str(folder), PARAMETERS)
    ours = pa.Table.from_batches(run(table.to_batches())).to_pandas()
    theirs = as_examples(table, folder)
    assert ours["user_id"].tolist() == [row["user_id"] for row in theirs] == ["u1"] * 60 + ["u2"] + ["u3"] * 12
    assert ours["item_id"].tolist() == [row["item_id"] for row in theirs]
    for task in TASKS:
        expected = np.array([row[f"score_{task}"] for row in theirs])
        np.testing.assert_allclose(ours[f"score_{task}"], expected, atol=1e-5)
        assert expected.std() > 0.01


def test_scores_do_not_depend_on_the_batches_that_carry_them(folder: Path) -> None:
    table = asked_and_past()
    run = score_candidates(str(folder), "qarm", str(folder), PARAMETERS)
    whole, pieces = (pa.Table.from_batches(run(table.to_batches(max_chunksize=n))) for n in (1000, 7))
    assert whole.combine_chunks().equals(pieces.combine_chunks())
