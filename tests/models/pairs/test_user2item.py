from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.pairs.nearest import carry_from, nearest_before, recent_before
from models.pairs.two_tower import (
    TowerShape,
    TowerTraining,
    TwoTower,
    in_batch_loss,
    load_two_tower,
    save_two_tower,
    train_two_tower,
)


@pytest.fixture
def events() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    users = np.sort(generator.integers(0, 6, 120))
    times = np.concatenate([np.sort(generator.integers(0, 12, n)) for n in np.unique(users, return_counts=True)[1]])
    items = generator.integers(0, 15, 120).astype(np.int32)
    table = generator.normal(size=(15, 4)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return {"users": users, "times": times, "items": items, "contents": items // 2, "vectors": table[items]}


def before(events: dict[str, np.ndarray], p: int, window: int) -> list[int]:
    """Positions of the last ``window`` events of the same user strictly before p, latest first."""
    same = (events["users"] == events["users"][p]) & (events["times"] < events["times"][p])
    return np.flatnonzero(same)[::-1][:window].tolist()


def test_the_trigger_is_the_nearest_of_the_last_positives(events: dict[str, np.ndarray]) -> None:
    found, similarity = nearest_before(**events, window=5, first=0)
    for p in range(120):
        candidates = [q for q in before(events, p, 5) if events["contents"][q] != events["contents"][p]]
        if not candidates:
            assert found[p] == -1
            continue
        products = [float(events["vectors"][p] @ events["vectors"][q]) for q in candidates]
        assert found[p] == candidates[int(np.argmax(np.round(products, 6)))]
        assert similarity[p] == pytest.approx(max(products), abs=1e-6)


def test_recent_items_end_strictly_before(events: dict[str, np.ndarray]) -> None:
    recent = recent_before(events["users"], events["times"], events["items"], 4, 0)
    for p in range(120):
        expected = [int(events["items"][q]) for q in before(events, p, 4)]
        assert recent[p].tolist() == expected + [-1] * (4 - len(expected))


@pytest.mark.parametrize("cut", [1, 17, 60, 119])
def test_a_cut_between_chunks_changes_nothing(events: dict[str, np.ndarray], cut: int) -> None:
    whole, _ = nearest_before(**events, window=5, first=0)
    start = carry_from(events["users"][:cut], events["times"][:cut], 5)
    rest, _ = nearest_before(**{k: v[start:] for k, v in events.items()}, window=5, first=cut - start)
    assert np.where(rest < 0, -1, rest + start).tolist() == whole[cut:].tolist()


def test_loss_is_softmax_with_log_q_and_same_targets_are_no_negatives() -> None:
    torch.manual_seed(0)
    users, targets = (functional.normalize(torch.randn(4, 3), dim=-1) for _ in range(2))
    items = torch.tensor([5, 7, 5, 9])
    log_q = torch.tensor([-1.0, -2.0, -1.0, -3.0])
    logits = (users @ targets.T / 0.2 - log_q).double()
    negatives = [[0, 1, 3], [0, 1, 2, 3], [1, 2, 3], [0, 1, 2, 3]]
    expected = np.mean([float(torch.logsumexp(logits[i, n], 0) - logits[i, i]) for i, n in enumerate(negatives)])
    assert in_batch_loss(users, targets, items, log_q, temperature=0.2).item() == pytest.approx(expected, rel=1e-5)


def batches(seed: int) -> Iterator[dict[str, torch.Tensor]]:
    """Two kinds of users, each keeping to its half of twenty items."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(30):
        half = torch.randint(0, 2, (64, 1), generator=generator) * 10
        item = (torch.randint(0, 10, (64, 1), generator=generator) + half)[:, 0].int()
        recent = (torch.randint(0, 10, (64, 5), generator=generator) + half).int()
        yield {"item": item, "recent": recent, "features": (half // 10 + 1).int(), "log_q": torch.full((64,), -3.0)}


def trained() -> tuple[TwoTower, list[float]]:
    return train_two_tower(
        TowerShape(item_rows=20, feature_rows=4, dim=8),
        batches,
        TowerTraining(steps=60, learning_rate=0.02, temperature=0.2, seed=1),
    )


def test_items_of_one_taste_come_to_lie_together(tmp_path: Path) -> None:
    model, losses = trained()
    assert losses[-1] < losses[0]
    features = torch.tensor([[1]] * 10 + [[2]] * 10)
    with torch.inference_mode():
        vectors = model.item_vectors(torch.arange(20), features)
        near = vectors @ vectors.T
        assert near[:10, :10].mean() > near[:10, 10:].mean() + 0.5
        save_two_tower(model, tmp_path)
        assert torch.equal(load_two_tower(tmp_path).item_vectors(torch.arange(20), features), vectors)


def test_training_repeats_to_the_bit() -> None:
    one, two = trained()[0].state_dict(), trained()[0].state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_items_beyond_the_table_share_a_row_and_padding_counts_for_nothing() -> None:
    model = TwoTower(TowerShape(item_rows=3, feature_rows=4, dim=8))
    assert model.rows_of(torch.tensor([-1, 0, 2, 3, 99])).tolist() == [0, 2, 4, 1, 1]
    padded, bare = (model.user_vectors(torch.tensor([recent])) for recent in ([1, 2, -1], [1, 2]))
    assert torch.allclose(padded, bare)


def test_a_loss_that_is_no_number_stops_training() -> None:
    def broken(_: int) -> Iterator[dict[str, torch.Tensor]]:
        yield {**next(batches(0)), "log_q": torch.full((64,), float("nan"))}

    with pytest.raises(FloatingPointError, match="step 1;"):
        train_two_tower(
            TowerShape(item_rows=20, feature_rows=4, dim=8),
            broken,
            TowerTraining(steps=5, learning_rate=0.02, temperature=0.2, seed=1),
        )
