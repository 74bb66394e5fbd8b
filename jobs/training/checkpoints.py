"""Where trainings keep their checkpoints: files on the driver that a run which is started again finds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from lake.run import Run
from schemas.private_folder import private_folder


def checkpoint_file(run: Run, named: str, *, of: str, made_from: Any) -> Path:
    """The checkpoint of a training.

    Args:
        run: the run.
        named: folder of the settings; empty for a folder in a local warehouse, or else in the temporary folder.
        of: what is trained.
        made_from: all inputs of the training, which must be JSON-serialisable; a training on others has another file.
    """
    digest = hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:16]
    return _folder(run, named) / f"{of}-{digest}.safetensors"


def remove_checkpoints(run: Run, named: str, *, of: str) -> None:
    """Removes what trainings left behind, also of settings that are no longer used, and what a kill cut short.

    Args:
        run: the run.
        named: see :func:`checkpoint_file`.
        of: what was trained; all that begins with it is meant.
    """
    for left in _folder(run, named).glob(f"{of}-*"):
        left.unlink()


def _folder(run: Run, named: str) -> Path:
    root = run.lake.warehouse.root
    here = run.lake.files.local_path(root)
    if here is not None and not named:
        return here / "_training"
    base = Path(named) if named else private_folder("training")
    return base / hashlib.sha256(root.encode()).hexdigest()[:16]
