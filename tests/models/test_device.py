"""Networks compute on the device that they are on. A GPU is not needed: see tests/fake_gpu.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorDeviceMismatchError

from models.device import CPU, in_bfloat16, own_device, training_device
from models.llm import encoder, likelihood
from models.llm.encoder import Encoder, EncoderParameters
from models.llm.item_encoder import ItemEncoder
from models.llm.likelihood import Likelihood
from models.pairs.two_tower import TowerShape, TwoTower, in_batch_loss
from models.quantize.fsq import FsqLevel
from models.ranker.network.ranker import Ranker
from models.ranker.network.shape import RankerShape
from models.world import World
from tests.fake_gpu import GPU, fake_gpu, put
from tests.ranker_batches import SHAPE, TEXT_SHAPE, batch, without


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Two GPUs, of which the second is torch's current one; the list receives those that are set."""
    made: list[int] = []
    for name, value in {"is_available": True, "device_count": 2, "current_device": 1}.items():
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    return made


def test_a_process_takes_a_gpu_of_its_own(two_gpus: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    assert own_device() == training_device(World()) == torch.device("cuda", 1)
    assert training_device(World(0, 2)) == CPU, "gloo sums sparse gradients in the host's memory"
    for rank, number in (("0", 0), ("1", 1), ("2", 0)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert own_device() == torch.device("cuda", number)


def test_without_a_gpu_it_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert own_device() == training_device(World()) == CPU


@pytest.mark.parametrize("has", [True, False])
def test_bfloat16_comes_by_itself_on_a_gpu_that_has_it(
    has: bool, two_gpus: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: has and not including_emulation)
    assert [in_bfloat16("auto", device) for device in (GPU, CPU)] == [has, False]
    assert [in_bfloat16(wanted, GPU) for wanted in (True, False)] == [True, False]


def test_a_task_computes_on_the_gpu_that_spark_gave_it(two_gpus: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    workers = pytest.importorskip("udfs.workers")
    for resources in ({}, {"gpu": SimpleNamespace(addresses=["1"])}, {"gpu": SimpleNamespace(addresses=["GPU-5fb2"])}):
        context = SimpleNamespace(cpus=lambda: 1, resources=lambda resources=resources: resources)
        monkeypatch.setattr(workers.TaskContext, "get", lambda context=context: context)
        workers.use_task_gpu()
    assert two_gpus == [1]


SEARCHES = {how: replace(SHAPE, search=how) for how in ("soft", "twin", "eta")}
SHAPES = {"all": SHAPE, "no crosses": replace(SHAPE, use=without("crosses", "mix")), **SEARCHES}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_ranker_computes_its_loss_on_a_gpu(shape: RankerShape) -> None:
    ranker = Ranker(shape)
    with fake_gpu(ranker) as mode:
        assert ranker.loss(put(mode, batch(8))).device == ranker.device == GPU
        with pytest.raises(FakeTensorDeviceMismatchError):
            ranker.loss(batch(8))


def test_a_ranker_with_texts_scores_on_a_gpu() -> None:
    ranker = Ranker(TEXT_SHAPE).eval()
    with fake_gpu(ranker) as mode, torch.inference_mode():
        assert ranker.probabilities(put(mode, batch(8))).device == GPU


def test_two_towers_compute_their_loss_on_a_gpu() -> None:
    towers = TwoTower(TowerShape(item_rows=9, feature_rows=4, dim=8))
    of = {
        "item": torch.arange(4), "features": torch.ones(4, 2, dtype=torch.int32),
        "recent": torch.arange(8).view(4, 2), "log_q": torch.zeros(4),
    }  # fmt: skip
    with fake_gpu(towers) as mode:
        rows = put(mode, of)
        vectors = towers.user_vectors(rows["recent"]), towers.item_vectors(rows["item"], rows["features"])
        assert in_batch_loss(*vectors, rows["item"], rows["log_q"], temperature=0.1).device == GPU


def test_a_codebook_level_codes_and_decodes_on_a_gpu() -> None:
    level = FsqLevel(6, [2, 2], 8, prefix_hidden=8, direction=True)
    with fake_gpu(level):
        vectors = torch.randn(5, 6, device=GPU)
        values = level.quantizer(level.latent(level.standardise(vectors)))
        assert level.decoder(values).device == GPU
        assert level.prefix_decoder is not None
        assert level.prefix_decoder(values, vectors).device == GPU


def test_an_aligned_model_encodes_on_a_gpu(tiny: Path) -> None:
    made = ItemEncoder(tiny, "float32")
    with fake_gpu(made):
        assert made.vectors([[1, 2, 3], [4, 5, 6]]).device == GPU


def test_a_language_model_reads_on_a_gpu(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (encoder, likelihood):
        monkeypatch.setattr(module, "own_device", lambda: CPU)
    made = Encoder(tiny, EncoderParameters(layer=2, max_tokens=8, batch_tokens=64, dtype="float32"))
    judge = Likelihood(tiny, 8, 64, "float32")
    made._device = judge._device = GPU
    with fake_gpu(made._backbone):
        assert made._means([[1, 2, 3], [4, 5, 6]]).device == GPU
    with fake_gpu(judge._model):
        ids, states = judge._states([[1, 2, 3], [4, 5]])
        assert ids.device == states.device == GPU
