"""Processes of a test's own."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import ForkServerContext


def forked() -> ForkServerContext:
    """Starts processes from one that has imported torch and transformers, which takes each seconds otherwise.

    That one has computed nothing yet, so no thread of torch is lost in a fork.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["models.llm.alignment", "models.ranker.training.training"])
    return context
