"""Training of a ranker: what it learns, what a step touches, kills, processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from models.optimiser import Optimisers, clip_gradients, sparse_tables
from models.ranker.network.id_tables import SPARSE_ROWS, id_table
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.ranker.training.training import train_ranker, validation_auc
from models.training_loop import TrainingParameters
from models.training_state import Checkpoints
from models.world import World
from tests.processes import forked
from tests.ranker_batches import SHAPE, batch

PARAMETERS = TrainingParameters(
    learning_rate=1e-2, weight_decay=1e-2, max_epochs=3, patience=9, validations_per_epoch=2, checkpoint_steps=4
)
DROPS = replace(SHAPE, dropout=0.2)


def made(shape: RankerShape = SHAPE, sparse: bool = True) -> Ranker:
    torch.manual_seed(0)
    ranker = Ranker(shape)
    for table in (ranker.item, *ranker.code):
        table.sparse = sparse
    return ranker


def epochs(number: int, batches: int = 5, size: int = 48) -> Iterator[dict[str, torch.Tensor]]:
    for place in range(batches):
        yield batch(size, seed=number * 30 + place)


def valid() -> list[dict[str, torch.Tensor]]:
    return [batch(256, seed=99), batch(100, seed=98)]


def weights(ranker: Ranker) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in ranker.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("sparse", [False, True])
def test_training_learns_a_planted_signal_and_keeps_the_best_weights(sparse: bool) -> None:
    ranker = made(sparse=sparse)
    scored = [batch(512, seed=99)]
    before = validation_auc(ranker, scored)
    parameters = TrainingParameters(
        learning_rate=1e-2, weight_decay=0.0, max_epochs=6, patience=2, validations_per_epoch=2
    )
    record = train_ranker(ranker, lambda e: epochs(e, 30, 256), lambda: scored, 30, parameters=parameters, name="test")
    assert before < 0.6
    assert record.best > 0.85
    assert ranker.numbers.known.any(), "the bins of the head's numbers were measured"
    assert ranker.numbers(ranker.numeric_inputs(batch(4096))).mean(0).abs().max() < 0.1
    assert record.best == max(point["auc"] for point in record.points)
    assert validation_auc(ranker, scored) == pytest.approx(record.best)


@pytest.mark.parametrize(("steps", "expected"), [(5, [3, 5, 8, 10]), (4, [2, 4, 6, 8])])
def test_the_last_steps_of_an_epoch_are_validated_too(steps: int, expected: list[int]) -> None:
    parameters = replace(PARAMETERS, max_epochs=2)
    record = train_ranker(made(), lambda e: epochs(e, steps), valid, steps, parameters=parameters, name="test")
    assert [point["step"] for point in record.points] == expected


def test_a_training_that_goes_on_has_no_loss_before_its_first_step() -> None:
    parameters = replace(PARAMETERS, max_epochs=1)
    record = train_ranker(made(), epochs, valid, 5, parameters=parameters, name="test", goes_on=True)
    assert record.points[0].keys() == {"step", "auc"}
    assert record.points[0]["step"] == 0
    assert all(point.keys() == {"step", "loss", "auc"} for point in record.points[1:])


def test_training_stops_early_where_nothing_improves() -> None:
    noise = [batch(64, seed=i) | {"label_click": torch.randint(0, 2, (64,)).float()} for i in range(4)]
    parameters = TrainingParameters(
        learning_rate=0.05, weight_decay=0.0, max_epochs=50, patience=1, validations_per_epoch=1
    )
    record = train_ranker(made(), lambda _: noise[:3], lambda: noise[3:], 3, parameters=parameters, name="noise")
    assert record.points[-1]["step"] < 150


def test_an_epoch_with_more_batches_than_was_said_is_an_error() -> None:
    with pytest.raises(ValueError, match="epoch 0 has more batches than steps_per_epoch, 4"):
        train_ranker(made(), epochs, valid, 4, parameters=PARAMETERS, name="test")


def test_only_large_tables_have_sparse_gradients() -> None:
    assert not id_table(SPARSE_ROWS - 1, 2).sparse
    assert id_table(SPARSE_ROWS, 2).sparse
    assert len(sparse_tables(made())) == 4
    assert not sparse_tables(made(sparse=False))


def test_a_step_touches_the_rows_of_its_batch_alone() -> None:
    ranker = made(replace(SHAPE, items=5000))
    before = weights(ranker)
    train_ranker(ranker, lambda _: [batch()], valid, 1, parameters=replace(PARAMETERS, max_epochs=1), name="test")
    read = torch.cat([batch()[name].flatten() for name in ("item_index", "recent_item", "found_item")]).unique()
    changed = (ranker.item.weight != before["item.weight"]).any(1).nonzero()[:, 0]
    assert set(changed.tolist()) == set(read.tolist()) - {0}


def test_moments_of_rows_that_were_not_touched_stay_zero() -> None:
    ranker = made(replace(SHAPE, items=5000))
    optimisers = Optimisers(ranker, 1e-2, 0.0, 10)
    ranker.loss(batch()).backward()
    optimisers.sum_gradients(World())
    optimisers.step()
    moments = optimisers.state()[1]["optimiser"]["state"][0]
    read = torch.cat([batch()[name].flatten() for name in ("item_index", "recent_item", "found_item")]).unique()
    for name in ("exp_avg", "exp_avg_sq"):
        assert set(moments[name].any(1).nonzero()[:, 0].tolist()) <= set(read.tolist())
        assert moments[name].any()


def test_a_steps_time_does_not_depend_on_the_tables_size() -> None:
    def fastest(rows: int) -> float:
        ranker = made(replace(SHAPE, items=rows))
        optimisers = Optimisers(ranker, 1e-2, 0.0, 10)
        times = []
        for _ in range(8):
            started = time.perf_counter()
            optimisers.zero_grad()
            ranker.loss(batch()).backward()
            optimisers.sum_gradients(World())
            clip_gradients(optimisers.weights, 1.0)
            optimisers.step()
            times.append(time.perf_counter() - started)
        return min(times[1:])  # the first makes the moments

    assert fastest(2_000_000) < 3 * fastest(2_000)


@pytest.mark.parametrize("sparse", [False, True])
def test_clipping_scales_all_gradients_together(sparse: bool) -> None:
    ranker = made(sparse=sparse)
    optimisers = Optimisers(ranker, 1e-2, 0.0, 10)
    ranker.loss(batch()).backward()
    optimisers.sum_gradients(World())
    plain = [w.grad.to_dense().clone() for w in optimisers.weights if w.grad is not None]
    norm = torch.cat([gradient.flatten() for gradient in plain]).norm()
    assert clip_gradients(optimisers.weights, 0.0).item() == pytest.approx(norm.item(), rel=1e-5)
    clip_gradients(optimisers.weights, norm.item() / 2)
    clipped = [w.grad.to_dense() for w in optimisers.weights if w.grad is not None]
    for one, other in zip(clipped, plain, strict=True):
        torch.testing.assert_close(one, other / 2, rtol=1e-4, atol=1e-8)


class Killed(Exception):  # noqa: N818
    pass


def until(step: int) -> Callable[[int], Iterator[dict[str, torch.Tensor]]]:
    def killed(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for place, rows in enumerate(epochs(number)):
            if 5 * number + place == step:
                raise Killed
            yield rows

    return killed


@pytest.mark.parametrize("kill", [6, 10, 14])
def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, kill: int) -> None:
    whole, resumed = made(DROPS), made(DROPS)
    expected = train_ranker(whole, epochs, valid, 5, parameters=PARAMETERS, name="test")
    checkpoints = Checkpoints(tmp_path / "state.safetensors")
    with pytest.raises(Killed):
        train_ranker(made(DROPS), until(kill), valid, 5, parameters=PARAMETERS, name="test", checkpoints=checkpoints)
    torch.manual_seed(12345)
    record = train_ranker(resumed, epochs, valid, 5, parameters=PARAMETERS, name="test", checkpoints=checkpoints)
    assert record.resumed_at == kill // 4 * 4
    assert_equal(weights(whole), weights(resumed))
    assert record.points == expected.points
    assert (record.best_step, record.best) == (expected.best_step, expected.best)


def test_a_loss_that_is_no_number_names_its_step_and_leaves_the_checkpoint(tmp_path: Path) -> None:
    def poisoned(number: int) -> Iterator[dict[str, torch.Tensor]]:
        for place, rows in enumerate(epochs(number)):
            bad = {"found_score": torch.full_like(rows["found_score"], float("nan"))}
            yield rows | bad if 5 * number + place == 6 else rows

    checkpoints = Checkpoints(tmp_path / "state.safetensors")
    with pytest.raises(FloatingPointError, match=r"test: the loss of step 7 is nan; lower ranker\.learning_rate"):
        train_ranker(made(), poisoned, valid, 5, parameters=PARAMETERS, name="test", checkpoints=checkpoints)
    state = checkpoints.load()
    assert state is not None
    assert state["step"] == 4
    assert all(torch.isfinite(value).all() for value in state["weights"].values())


@pytest.mark.parametrize("switch", ["bfloat16", "compile"])
def test_other_ways_to_compute_learn_as_well(switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # its C++ takes two minutes
    plain, other = made(), made()
    parameters = replace(PARAMETERS, max_epochs=1)
    first = train_ranker(plain, epochs, valid, 5, parameters=parameters, name="test")
    second = train_ranker(other, epochs, valid, 5, parameters=replace(parameters, **{switch: True}), name="test")
    assert second.points[0]["loss"] == pytest.approx(first.points[0]["loss"], abs=0.01)
    assert all(value.dtype == weights(plain)[name].dtype for name, value in weights(other).items())


def share(rank: int, number: int) -> Iterator[dict[str, torch.Tensor]]:
    """Half of each batch, unevenly; of the last one all is rank 0's, so that rank 1 has a batch fewer."""
    for place, rows in enumerate(epochs(number)):
        cut = 48 if place == 4 else 20
        mine = {name: column[:cut] if rank == 0 else column[cut:] for name, column in rows.items()}
        if len(mine["hour"]):
            yield mine


def _one_of_two(rank: int, port: int, sparse: bool, out: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    ranker = made(sparse=sparse)
    scored = valid()[rank : rank + 1]  # of unlike lengths
    record = train_ranker(
        ranker, lambda number: share(rank, number), lambda: scored, 5, parameters=PARAMETERS, name="test",
        checkpoints=Checkpoints(out / "state.safetensors"), world=World.of_process_group(),
    )  # fmt: skip
    torch.save({"record": asdict(record), "weights": ranker.state_dict()}, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("sparse", [False, True])
def test_two_processes_are_one_on_the_joint_batch(tmp_path: Path, sparse: bool) -> None:
    whole = made(sparse=sparse)
    expected = train_ranker(whole, epochs, valid, 5, parameters=PARAMETERS, name="test")
    context = forked()
    port = 20_000 + int.from_bytes(str(tmp_path).encode()[-8:], "big") % 20_000
    processes = [context.Process(target=_one_of_two, args=(rank, port, sparse, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=False) for rank in range(2))
    assert_equal(first["weights"], second["weights"])
    points = first["record"]["points"]
    np.testing.assert_allclose([p["loss"] for p in points], [p["loss"] for p in expected.points], rtol=1e-5)
    np.testing.assert_allclose([p["auc"] for p in points], [p["auc"] for p in expected.points], atol=1e-4)
    for name, value in weights(whole).items():
        torch.testing.assert_close(first["weights"][name], value, rtol=1e-3, atol=2e-5)
