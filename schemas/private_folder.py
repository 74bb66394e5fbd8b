"""Folders for temporary files that no other user of the machine can write to."""

from __future__ import annotations

import contextlib
import getpass
import os
import stat
import tempfile
from pathlib import Path

from schemas.errors import UserError


def user_name() -> str:
    """The user's name; the number of a user who has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user-{os.getuid()}"


def private_folder(purpose: str) -> Path:
    """A folder of this user in the machine's folder of temporary files, where every user knows its name.

    What lies in it is used as this user's own: code, weights, compiled functions. So it must be a folder, be owned by
    this user, and be closed to others' writes.

    Args:
        purpose: what it is for; a part of its name.

    Raises:
        UserError: another user made it, or others may write to it.
    """
    folder = Path(tempfile.gettempdir()) / f"qarm-{purpose}-{user_name()}"
    with contextlib.suppress(FileExistsError):  # a file or a link, which is refused below
        folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UserError(f"{folder} is not this user's alone; remove it, or set TMPDIR to a folder of your own")
    return folder
