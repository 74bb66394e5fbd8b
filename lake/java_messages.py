"""What the JVM writes to stderr: nothing of its start if it succeeds, and its later lines above the line with the bar.

At its start Spark tells of Ivy, its logging, the host's name and native libraries: some forty lines that ask for
nothing. They are kept, and shown if the start fails, as they then hold the cause. The JVM writes to a pipe, since its
own settings silence neither Ivy nor the messages that come before logging is set up.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 20.0
"""Seconds after which people are told that Spark is still starting."""

WAITS = "Spark is still starting; at its first start it downloads Delta's jars (or set spark.jars to a folder of them)"


class _Messages:
    """Reads a pipe to its end; holds its lines until they are let go."""

    def __init__(self, pipe: int) -> None:
        self._pipe, self._held, self._lock = pipe, list[str](), threading.Lock()
        self._holding = True
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        with os.fdopen(self._pipe, errors="replace") as lines:
            for line in lines:
                with self._lock:
                    if self._holding:
                        self._held.append(line)
                        continue
                sys.stderr.write(line)
                sys.stderr.flush()

    def let_go(self, show: bool) -> None:
        """From now on lines are passed on; those that were held are shown or dropped."""
        with self._lock:
            self._holding = False
            if show:
                sys.stderr.write("".join(self._held))


@contextmanager
def start_told() -> Iterator[None]:
    """Within it a JVM is started; what it writes meanwhile is shown only if that fails, or with ``--verbose``."""
    read, write = os.pipe()
    before = os.dup(2)
    os.dup2(write, 2)  # the JVM inherits it
    os.close(write)
    messages = _Messages(read)
    still = threading.Timer(PATIENCE, lambda: os.write(before, f"{WAITS}\n".encode()))
    still.daemon = True
    still.start()
    started = False
    try:
        yield
        started = True
    finally:
        still.cancel()
        os.dup2(before, 2)
        os.close(before)
        messages.let_go(show=not started or "--verbose" in os.environ.get("PYSPARK_SUBMIT_ARGS", "").split())
