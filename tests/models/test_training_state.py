from __future__ import annotations

import logging
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from models.training_state import Checkpoints


def state() -> dict[str, Any]:
    weight = torch.randn(300, 7)
    return {
        "step": 3,
        "weights": {"own": weight, "tied": weight, "turned": weight.T, "none": torch.zeros(0)},
        "optimiser": {"state": {0: {"step": torch.tensor(3.0)}}, "groups": [{"betas": (0.9, 0.999), "fused": None}]},
        "losses": [0.1, float("nan"), 1 / 3],
    }


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    saved, checkpoints = state(), Checkpoints(tmp_path / "folder" / "state.safetensors")
    assert checkpoints.load() is None
    checkpoints.save(saved)
    found = checkpoints.load()
    assert found is not None
    for name, weight in saved["weights"].items():
        assert torch.equal(weight, found["weights"][name]), name
    assert found["optimiser"]["state"][0]["step"] == 3.0
    assert found["optimiser"]["groups"] == saved["optimiser"]["groups"]
    assert str(found["losses"]) == str(saved["losses"])
    assert [file.name for file in checkpoints.path.parent.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_truncated_file_is_told_and_the_training_begins_anew(
    left: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(tmp_path / "state.safetensors")
    checkpoints.save(state())
    checkpoints.path.write_bytes(checkpoints.path.read_bytes()[:left])
    with caplog.at_level(logging.WARNING, "qarm"):
        assert checkpoints.load() is None
    assert f"checkpoint {checkpoints.path} is damaged" in caplog.text
    assert "the training begins anew" in caplog.text
    checkpoints.save(state())
    assert checkpoints.load() is not None


class Planted:
    """Whoever unpickles it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("write", [pickle.dump, torch.save])
def test_a_planted_pickle_does_not_run(write: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    proof, checkpoints = tmp_path / "it ran", Checkpoints(tmp_path / "state.safetensors")
    with checkpoints.path.open("wb") as stream:
        write(Planted(proof), stream)
    with caplog.at_level(logging.WARNING, "qarm"):
        assert checkpoints.load() is None
    assert "is damaged" in caplog.text
    assert not proof.exists()
    with checkpoints.path.open("rb") as stream:
        torch.load(stream, weights_only=False) if write is torch.save else pickle.load(stream)
    assert proof.exists(), "the pickle does run where one is unpickled"
