"""The device that a network computes on: a GPU where this process has one, else the processor."""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch

from models.world import World
from schemas.sections import Bfloat16

CPU = torch.device("cpu")


def own_device() -> torch.device:
    """The GPU of this process; the processor if torch finds none.

    torchrun's processes on one host take a GPU each, by ``LOCAL_RANK``. Any other process takes torch's current GPU,
    which is the first one unless a Spark task was given another, see :func:`udfs.workers.use_task_gpu`. With the
    environment variable ``CUDA_VISIBLE_DEVICES`` empty, torch finds none.
    """
    if not torch.cuda.is_available():
        return CPU
    rank = os.environ.get("LOCAL_RANK")
    if rank is None:
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cuda", int(rank) % torch.cuda.device_count())


def training_device(world: World) -> torch.device:
    """The device of a training whose processes exchange sparse gradients.

    Several processes do so through gloo, which takes them from the host's memory alone, so they train on the processor.
    """
    return own_device() if world.size == 1 else CPU


def gpu_has_bfloat16() -> bool:
    """Whether there is a GPU that computes in bfloat16; older ones only emulate it."""
    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def in_bfloat16(wanted: Bfloat16, device: torch.device) -> bool:
    """Whether a training on a device computes in bfloat16."""
    return (device.type == "cuda" and gpu_has_bfloat16()) if wanted == "auto" else wanted


def on_device(columns: Mapping[str, torch.Tensor], device: torch.device) -> Mapping[str, torch.Tensor]:
    """Columns on a device; they go to a GPU from pinned memory, so that this process does not wait for the copy."""
    if device.type == "cpu":
        return columns
    return {name: column.pin_memory().to(device, non_blocking=True) for name, column in columns.items()}
