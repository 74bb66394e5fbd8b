from __future__ import annotations

import pytest

from demo.processor import setting
from jobs.start.machine import Machine
from schemas.settings import load_settings


@pytest.mark.parametrize(
    ("has", "gpu", "dtype"), [(True, "", "bfloat16"), (False, "", "float32"), (False, "NVIDIA H100", "bfloat16")]
)
def test_the_demo_computes_in_what_the_machine_has(has: bool, gpu: str, dtype: str) -> None:
    machine = Machine(cores=2, has_bfloat16=has, packages=frozenset(), gpu=gpu, gpu_has_bfloat16=bool(gpu))
    assert load_settings((), [setting(machine)]).language_model.dtype == dtype
