"""Small networks train on one thread: a second costs more than it computes, the more beside other work."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

SMALL_MODELS = {"tiny", "tiny_vision"}


@pytest.fixture(autouse=True)
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """One thread, but for tests that read a real language model."""
    fixtures = set(request.fixturenames)
    real = "smollm" in fixtures and not fixtures & SMALL_MODELS
    before = torch.get_num_threads()
    torch.set_num_threads(before if real else 1)
    yield
    torch.set_num_threads(before)
