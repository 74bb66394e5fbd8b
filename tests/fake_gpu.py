"""Networks on a GPU that is not there: torch computes shapes and devices, and refuses to mix devices.

Only forward passes: the backward pass asks the driver for its context.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

GPU = torch.device("cuda", 0)


@contextmanager
def fake_gpu(module: nn.Module) -> Iterator[FakeTensorMode]:
    """Within it, the module's weights and buffers lie on the GPU, and all tensors are without values."""
    mode, moved = FakeTensorMode(), dict[int, torch.Tensor]()
    for part in module.modules():
        for own in (part._parameters, part._buffers):
            for name, value in own.items():
                if value is not None and id(value) not in moved:
                    moved[id(value)] = _moved(value, mode)
                own[name] = None if value is None else moved[id(value)]
    with mode:
        yield mode


def put(mode: FakeTensorMode, columns: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Columns on the GPU."""
    return {name: mode.from_tensor(column).to(GPU) for name, column in columns.items()}


def _moved(value: torch.Tensor, mode: FakeTensorMode) -> torch.Tensor:
    plain = value.detach()  # a real weight may not be detached among fake ones
    with mode:
        there = mode.from_tensor(plain).to(GPU)
    return nn.Parameter(there, requires_grad=value.requires_grad) if isinstance(value, nn.Parameter) else there
