"""The file systems that a feed reads from where the files lie: this machine's and S3."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from pyarrow import fs

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pyarrow import filesystem as old

S3 = ("s3", "s3a", "s3n")
"""Schemes of S3. Hadoop has its own names for it; the path behind them is the same."""

ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""Environment variables by which AWS's own libraries, Spark and delta-rs find another server than AWS's. pyarrow 14
does not look at them."""


class S3Files(old.FileSystem):
    """S3 as Petastorm 0.12 wants it: an object of the class that pyarrow had for file systems before ``pyarrow.fs``.

    With any other object, e.g. one of fsspec, Petastorm asks pyarrow 14 for what its newer reader of data sets refuses.

    Credentials and region are those of AWS's own search: environment, profile, the machine's role.
    """

    def __init__(self) -> None:
        super().__init__()
        named = next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), None)
        server = urlsplit(named) if named else None
        own = {} if server is None else {"endpoint_override": server.netloc, "scheme": server.scheme}
        self._s3 = fs.S3FileSystem(**own)

    def open(self, path: str, mode: str = "rb") -> Any:
        """Opens a file to read, anywhere in it."""
        return self._s3.open_input_file(path)

    def isfile(self, path: str) -> bool:
        """Whether there is a file of this path."""
        return bool(self._s3.get_file_info(path).is_file)

    def isdir(self, path: str) -> bool:
        """Whether there are files below this path."""
        return bool(self._s3.get_file_info(path).type == fs.FileType.Directory)


def opened(urls: Sequence[str]) -> tuple[Any, list[str]]:
    """The file system of some files, and their paths on it.

    Args:
        urls: URLs with escaped characters, all on one file system.

    Raises:
        ValueError: the URLs are on a file system that a feed does not read.
    """
    parts = [urlsplit(url) for url in urls]
    schemes = {part.scheme for part in parts}
    if schemes <= {*S3}:
        return S3Files(), [unquote(f"{part.netloc}{part.path}") for part in parts]
    if schemes == {"file"}:
        return old.LocalFileSystem._get_instance(), [unquote(part.path) for part in parts]
    raise ValueError(f"a feed reads files of file: and s3: alone, not of {', '.join(sorted(schemes))}: {urls[0]}")


def reads_in_place(url: str) -> bool:
    """Whether a feed can read a file where it lies: it knows the file system, and may open the file.

    Args:
        url: URL with escaped characters.
    """
    try:
        system, (path,) = opened([url])
        system.open(path).close()
    except (ValueError, OSError):
        return False
    return True
