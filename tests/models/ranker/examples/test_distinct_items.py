from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.ranker.examples.distinct_items import LATELY, distinct_items
from models.ranker.examples.search_index import SearchIndex
from schemas.features import PARTS
from tests.search_indexes import asked, random_index

ITEMS, KINDS = 400, 4


def counted(
    targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64], index: SearchIndex
) -> NDArray[np.int32]:
    return distinct_items(asked(index, targets, history, visible=visible))


def one_by_one(targets: NDArray[np.int64], visible: NDArray[np.int64], history: NDArray[np.int64]) -> list[list[int]]:
    """The same, one target at a time."""
    known = random_index(ITEMS)
    found = []
    for target, upto in zip(targets.tolist(), visible.tolist(), strict=True):
        seen = history[:upto].tolist()
        items = list(dict.fromkeys(seen))
        new = sum(item not in seen[: max(upto - LATELY, 0)] for item in set(seen))
        like = [
            [known.category[item] == known.category[target] != 0 for item in items],
            *(
                [bool((known.codes[item, :n] == known.codes[target, :n]).all() and known.codes[target, :n].all())
                 for item in items]
                for n in (1, 2)
            ),
        ]  # fmt: skip
        found.append([len(items), *map(sum, like), new, *(sum(kind[-LATELY:]) for kind in like)])
    return found


def test_every_item_counts_once_in_all_and_lately() -> None:
    draw = np.random.default_rng(0)
    history, targets = draw.integers(0, ITEMS, 600), draw.integers(0, ITEMS, 50)
    visible = np.concatenate([[0, 600, 1], draw.integers(0, 600, 47)])
    found = counted(targets, visible, history, random_index(ITEMS))
    assert found.shape == (50, len(PARTS["distinct_items"]))
    assert found.tolist() == one_by_one(targets, visible, history)
    assert (found[:, :KINDS] > found[:, KINDS:]).any(), "the latest are fewer"


def test_a_repeat_is_no_trial_and_later_events_change_nothing() -> None:
    known = random_index(ITEMS)
    targets = np.arange(20)
    once, again = np.arange(30), np.repeat(np.arange(30), 3)
    of_once = counted(targets, np.full(20, 30), once, known)
    assert np.array_equal(counted(targets, np.full(20, 90), again, known), of_once)
    assert np.array_equal(counted(targets, np.full(20, 30), np.concatenate([once, once[::-1], [99]]), known), of_once)


def test_a_target_of_no_kind_has_the_items_in_all_alone() -> None:
    known = random_index(ITEMS)
    known = replace(known, category=np.zeros_like(known.category), codes=np.zeros_like(known.codes))
    found = counted(np.arange(5), np.full(5, 30), np.arange(30), known)
    assert (found[:, [0, KINDS]] == 30).all()
    assert not np.delete(found, [0, KINDS], axis=1).any()
    assert not counted(np.arange(5), np.zeros(5, np.int64), np.zeros(0, np.int64), known).any()
