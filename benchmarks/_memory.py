"""Peak memory of this process and of the processes that it started."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil


class PeakMemory:
    """Samples the proportional set size of the process tree, in which shared pages count once.

    It can be entered several times; the peak is that of all of them.
    """

    def __init__(self, interval: float = 0.5) -> None:
        self.peak = 0
        self._interval = interval

    def __enter__(self) -> PeakMemory:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def gigabytes(self) -> float:
        """The peak so far, in GiB."""
        return self.peak / 2**30

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._stop.wait(self._interval):
            total = 0
            for process in [own, *own.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:  # the process ended before it was measured
                    continue
            self.peak = max(self.peak, total)
