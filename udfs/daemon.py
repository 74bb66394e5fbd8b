"""The process on the driver's machine that forks Python workers and has imported what they need.

Spark ends a worker that had no task for a minute. A new one imports torch, transformers and others anew, which takes
ten seconds of a core, in nearly every job of a later night. A fork of a process that has imported them starts at once,
and shares their memory.

    python -m udfs.daemon pyspark.worker
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from pkgutil import iter_modules

import udfs


def preload() -> None:
    """Imports the modules of this room; a worker that needs one that fails tells of it.

    What they print goes to standard error, because Spark reads the daemon's port from its standard output.
    """
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        for found in iter_modules(udfs.__path__):
            import_module(f"{udfs.__name__}.{found.name}")
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


if __name__ == "__main__":
    preload()
    from pyspark.daemon import manager

    manager()  # type: ignore[no-untyped-call]
