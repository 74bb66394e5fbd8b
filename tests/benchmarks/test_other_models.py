"""What models of other packages read: checked without these packages."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from benchmarks._other_models import OTHERS, SCRIPTS


@pytest.fixture
def arrays(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("arrays", SCRIPTS / "arrays.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "arrays", module)  # where a dataclass looks for its module
    spec.loader.exec_module(module)
    return module


def test_histories_end_before_the_example_and_stay_within_the_user(arrays: ModuleType, tmp_path: Path) -> None:
    np.savez(tmp_path / "users.npz", items=np.array([11, 12, 13, 21, 22]), starts=np.array([0, 3, 3, 5]))
    (tmp_path / "card.json").write_text(json.dumps({"users": 3}))
    users, seen = np.array([0, 0, 0, 1, 2, 2]), np.array([0, 2, 3, 0, 1, 2])
    assert arrays.Arrays(tmp_path).histories(users, seen, 2).tolist() == [
        [0, 0], [11, 12], [12, 13], [0, 0], [0, 21], [21, 22],
    ]  # fmt: skip
    assert arrays.Arrays(tmp_path).histories(users, seen, 2, padded_behind=True).tolist() == [
        [0, 0], [11, 12], [12, 13], [0, 0], [21, 0], [21, 22],
    ]  # fmt: skip


def test_every_model_has_a_script_that_knows_it() -> None:
    for name, other in OTHERS.items():
        script = (SCRIPTS / other.script).read_text(encoding="utf-8")
        kind, _, package = name.partition(" (")
        assert f'"{kind}"' in script or f'"{name}"' in script, name
        assert f"({package}" in script, name
        assert other.settings, name
