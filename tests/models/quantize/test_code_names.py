"""Names that codes keep over a refit, and codes that collisions give way to."""

from __future__ import annotations

import numpy as np

from models.quantize.collisions import move_to_free_codes
from models.quantize.matching import matched_names


def test_names_are_matched_by_the_contents_that_codes_share() -> None:
    generator = np.random.default_rng(0)
    old = np.stack([generator.integers(20, size=3000), generator.integers(15, size=3000)], 1).astype(np.int32)
    shuffles = [generator.permutation(20), generator.permutation(15)]
    new = np.stack([shuffle[level] for shuffle, level in zip(shuffles, old.T, strict=True)], 1).astype(np.int32)
    noise = generator.random(3000) < 0.1
    new[noise] = new[generator.permutation(3000)[: noise.sum()]]
    names = matched_names(old, new, [20, 15])
    renamed = np.stack([own[level] for own, level in zip(names, new.T, strict=True)], 1)
    assert (renamed == old).all(1)[~noise].all()
    fewer = matched_names(old[:, :1], new % 8, [8, 15])
    assert sorted(fewer[0]) == list(range(8))
    assert fewer[1] is None, "a level that was not there keeps its own names"
    padded = matched_names(np.where(old == 3, -1, old), new, [20, 70_000])
    assert padded[1] is None, "too many codes to match"
    assert sorted(padded[0]) == list(range(20))


def test_matching_is_an_assignment_and_not_greedy() -> None:
    # Code 0 shares 5 with name 0 and 4 with name 1; code 1 shares 4 with name 0 and nothing else. 4 + 4 beats 5 + 0.
    old = np.repeat([0, 1, 0], [5, 4, 4]).astype(np.int32)[:, None]
    new = np.repeat([0, 0, 1], [5, 4, 4]).astype(np.int32)[:, None]
    assert matched_names(old, new, [2])[0].tolist() == [1, 0]


def test_the_surplus_goes_to_the_nearest_code_with_room() -> None:
    distances = np.array([[1.0, 2.0, 9.0], [1.0, 1.5, 3.0], [1.0, 4.0, 8.0]], np.float32)
    own, load = np.zeros(3, np.int32), np.array([1, 0, 0])
    # Room for one each: 1.5 is the smallest, so the second content takes code 1; then 8 < 9 gives the third code 2.
    assert move_to_free_codes(distances, own, load, cap=1).tolist() == [0, 1, 2]
    # Room for one more in code 0, which the first of three equals takes, and for two in code 1.
    assert move_to_free_codes(distances, own, load, cap=2).tolist() == [0, 1, 1]
    assert move_to_free_codes(distances, own, np.array([1, 1, 1]), cap=1).tolist() == [0, 0, 0]
