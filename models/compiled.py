"""Compiles functions of numbers to machine code, once a machine."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba

from schemas.private_folder import private_folder

CACHE = "XDG_CACHE_HOME"


def prepare_cache() -> None:
    """Names a folder that compiled functions are kept in, where the user's own cannot be written to.

    On an executor the code lies in a zip, and numba keeps what it compiles in the user's cache without asking whether
    it can. On YARN, for one, the user's home is often a folder that does not exist.
    """
    if CACHE in os.environ:
        return
    try:
        own = Path.home() / ".cache"
        own.mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=own).close()
    except (OSError, RuntimeError):  # the latter of a user without a home
        os.environ[CACHE] = str(private_folder("cache"))


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """A decorator that compiles a function by numba at its first call; it holds no lock of Python's while it runs.

    Args:
        options: further options of ``numba.njit``.
    """
    decorate: Callable[[Callable[..., Any]], Any] = numba.njit(cache=True, nogil=True, **options)
    return decorate


prepare_cache()
