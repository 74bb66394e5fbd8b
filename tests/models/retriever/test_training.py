"""Training of a retriever: kills, processes, bfloat16, centroids; the ranker's tests try the loop itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from models.quantize.codebook import Codebook
from models.quantize.kmeans import KMeansLevel
from models.retriever.network.network import Batch, Retriever
from models.retriever.training.starts import tokens_from
from models.retriever.training.training import RetrieverParameters, RetrieverTraining, popular_hit_rates
from models.training_state import Checkpoints
from models.world import World
from tests.models.retriever.networks import batch, catalogue, histories, network
from tests.processes import forked

PARAMETERS = RetrieverParameters(
    learning_rate=1e-2, weight_decay=1e-2, max_epochs=2, patience=9, validations_per_epoch=1, checkpoint_steps=3,
    contrastive_weight=0.0, balance_rate=1e-2,
)  # fmt: skip
STEPS = 4
KNOWN = catalogue()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def rows(number: int, users: int = 12) -> dict:
    return batch(KNOWN, histories(users=users, events=120, seed=number))


def epochs(epoch: int) -> Iterator[Batch]:
    for place in range(STEPS):
        yield rows(10 * epoch + place)


def trained(net: Retriever, train=epochs, world: World | None = None, state: Path | None = None) -> tuple:
    training = RetrieverTraining(net, STEPS, PARAMETERS, name="test", world=world or World())
    checkpoints = None if state is None else Checkpoints(state)
    record = training.fit(train, lambda: [rows(99)], checkpoints=checkpoints, goes_on=False)
    return record, {name: value.clone() for name, value in net.state_dict().items()}


def assert_equal(one: dict, other: dict) -> None:
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    net = network(KNOWN, dropout=0.1)
    record, expected = trained(net)
    assert {"hit_rate_10", "hit_rate_50", "ndcg_50", "valid_loss", "uneven", "loss", "step"} == set(record.points[0])
    assert record.points[-1]["loss"] < record.points[0]["loss"]

    def until_killed(epoch: int) -> Iterator[Batch]:
        for place, made in enumerate(epochs(epoch)):
            if (epoch, place) == (1, 1):
                raise KeyboardInterrupt
            yield made

    with pytest.raises(KeyboardInterrupt):
        trained(network(KNOWN, dropout=0.1), until_killed, state=tmp_path / "state")
    again, resumed = trained(network(KNOWN, seed=5, dropout=0.1), state=tmp_path / "state")
    assert again.resumed_at == 3
    assert_equal(expected, resumed)


def _one_of_two(rank: int, port: int, out: Path) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)

    def share(epoch: int) -> Iterator[Batch]:
        for made in epochs(epoch):
            yield {name: column[:8] if rank == 0 else column[8:] for name, column in made.items()}

    _, weights = trained(network(KNOWN), share, World.of_process_group())
    torch.save(weights, out / f"{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_are_one_on_the_joint_batch(tmp_path: Path) -> None:
    context = forked()
    port = 20_000 + int.from_bytes(str(tmp_path).encode()[-8:], "big") % 20_000
    processes = [context.Process(target=_one_of_two, args=(rank, port, tmp_path)) for rank in range(2)]
    for process in processes:
        process.start()
    whole = network(KNOWN)
    trained(whole)
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert_equal(first, second)
    both = network(KNOWN)
    both.load_state_dict(first)
    # Compared by what they compute: biases of keys change nothing, so their gradients are rounding alone.
    with torch.inference_mode():
        one, other = (net.eval().log_prob(net.encode(rows(5)), rows(5)["target_code"])[0] for net in (whole, both))
        start = network(KNOWN).log_prob(network(KNOWN).encode(rows(5)), rows(5)["target_code"])[0]
    assert (one - start).abs().max() > 0.1
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_bfloat16_computes_nearly_the_same_loss() -> None:
    net = network(KNOWN)
    with torch.inference_mode():
        exact = net.loss(rows(1))
        with torch.autocast("cpu", torch.bfloat16):
            rough = net.loss(rows(1))
    assert rough == pytest.approx(float(exact), rel=0.02)
    with torch.autocast("cpu", torch.bfloat16):
        loss = net.train().loss(rows(1))
    loss.backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_tokens_begin_as_near_each_other_as_their_centroids(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    centroids = [generator.normal(size=(size, 24)).astype(np.float32) for size in (6, 5, 7)]
    Codebook([KMeansLevel(own) for own in centroids], 24, "res_kmeans").save(tmp_path)
    net = network(KNOWN)
    tokens_from(net, tmp_path)
    for table, own in zip(net.codes.tokens, centroids, strict=True):
        ours = np.linalg.norm(table.weight.detach().numpy()[:, None] - table.weight.detach().numpy(), axis=-1)
        theirs = np.linalg.norm(own[:, None] - own, axis=-1)
        far = theirs > 0
        assert np.corrcoef(ours[far], theirs[far])[0, 1] > 0.999  # six centroids span fewer dimensions than the tokens


def test_hit_rates_of_popularity_are_counted_over_targets() -> None:
    popularity = torch.arange(200.0)
    batches = [{"target_code": torch.tensor([[199, 149, -1], [100, 189, 195]])}]
    assert popular_hit_rates(popularity, batches) == {"popular_hit_rate_10": 2 / 5, "popular_hit_rate_50": 3 / 5}
