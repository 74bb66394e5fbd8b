from __future__ import annotations

import importlib
import subprocess
import sys
import zipfile
import zipimport
from pathlib import Path
from typing import Any

import pytest

from schemas.files import ROOT
from udfs import zips


def packed(path: Path, **modules: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, code in modules.items():
            archive.writestr(f"{name}.py", code)


def test_a_zip_is_read_again_only_when_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "code.zip"
    packed(archive, zipped_first="value = 1")
    monkeypatch.syspath_prepend(str(archive))
    read: list[str] = []
    real: Any = zips._read_again

    def counted(importer: zipimport.zipimporter) -> None:
        read.append(importer.archive)
        real(importer)

    monkeypatch.setattr(zips, "_read_again", counted)
    assert importlib.import_module("zipped_first").value == 1
    importlib.invalidate_caches()
    read.clear()
    importlib.invalidate_caches()
    assert str(archive) not in read
    packed(archive, zipped_first="value = 1", zipped_second="value = 2")
    importlib.invalidate_caches()
    assert read.count(str(archive)) == 1
    assert importlib.import_module("zipped_second").value == 2
    archive.unlink()
    importlib.invalidate_caches()
    for name in ("zipped_first", "zipped_second"):
        del sys.modules[name]
    with pytest.raises(ImportError):
        importlib.import_module("zipped_second")


def test_a_process_that_imports_a_udf_reads_zips_so() -> None:
    """Spark's workers import the package, as its functions are pickled by their names."""
    code = "import udfs, zipimport; print(zipimport.zipimporter.invalidate_caches.__qualname__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == zips._read_if_changed.__qualname__
