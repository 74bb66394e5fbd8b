"""Files of a warehouse for readers outside Spark that do not know its file system."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from lake.hadoop import HadoopFiles
from lake.scratch import scratch_folder

log = logging.getLogger("qarm")


class LocalCopies:
    """Gives a reader files that it can read: where they lie, or else as copies on this machine.

    Hadoop makes the copies, with the credentials by which Spark reads the warehouse. Each file is copied once.

    Args:
        files: the file systems that Spark knows.
        folder: an empty folder for the copies; its disk must hold all files that are asked for.
        is_readable: whether the reader can read a file of this URL. The first file decides for all of them.
    """

    def __init__(self, files: HadoopFiles, folder: Path, is_readable: Callable[[str], bool]) -> None:
        self._files = files
        self._folder = folder
        self._is_readable = is_readable
        self._in_place: bool | None = None
        self._copies: dict[str, str] = {}

    def __call__(self, urls: Sequence[str]) -> list[str]:
        """The URLs by which the reader reads some files, in their order.

        Args:
            urls: URLs with escaped characters.
        """
        if urls and self._in_place is None:
            self._in_place = self._is_readable(urls[0])
            if not self._in_place:
                log.info("the files of %s are copied to this machine, to be read outside Spark", urls[0])
        return list(urls) if self._in_place else [self._copied(url) for url in urls]

    def _copied(self, url: str) -> str:
        if url not in self._copies:
            copy = self._folder / f"{len(self._copies)}.parquet"
            self._files.download(unquote(url), copy)
            self._copies[url] = copy.as_uri()
        return self._copies[url]


@contextmanager
def local_copies(files: HadoopFiles, is_readable: Callable[[str], bool]) -> Iterator[LocalCopies]:
    """Copies that are removed at the end, in the folder for temporary files.

    Args:
        files: the file systems that Spark knows.
        is_readable: see :class:`LocalCopies`.
    """
    with scratch_folder() as folder:
        yield LocalCopies(files, folder, is_readable)
