"""Where compiled functions are kept."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from models.compiled import CACHE
from schemas.files import ROOT

CODE = "from models.compiled import compiled\n@compiled()\ndef one_more(n):\n    return n + 1\n"


@pytest.mark.parametrize("home", ["/nonexistent", "/proc"])
def test_code_in_a_zip_is_compiled_where_the_user_has_no_home(home: str, tmp_path: Path) -> None:
    """As in a YARN container: numba would write to the home without asking."""
    packed = tmp_path / "code.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("kernels.py", CODE)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != CACHE}
    environment |= {"HOME": home, "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join([str(packed), str(ROOT)])}
    called = [sys.executable, "-c", "from kernels import one_more; print(one_more(1))"]
    found = subprocess.run(called, env=environment, capture_output=True, text=True, check=True)
    assert found.stdout == "2\n"
    assert list(temporary.rglob("*.nbc")), "it was kept for the next process"
