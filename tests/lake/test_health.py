"""What doctor looks at before Spark starts, and that it does so where Spark cannot start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lake import health
from lake.health import Finding
from schemas.files import ROOT


def a_java(folder: Path, says: str) -> Path:
    java = folder / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
    java.chmod(0o755)
    return folder


def test_a_finding_is_a_line_with_the_way_to_mend_it() -> None:
    assert Finding("Java", "17").line() == "ok    Java              17"
    bad = Finding("Java", "there is none", "install one")
    assert bad.line() == "BAD   Java              there is none\n                        -> install one"
    assert bad.is_bad
    assert not Finding("room", "little", "free some", may_stay=True).is_bad


@pytest.mark.parametrize(
    ("says", "bad", "words"),
    [
        ('openjdk version "17.0.15" 2025-04-15', False, "17.0.15 at"),
        ('openjdk version "22.0.1"', False, "22.0.1 at"),
        ('java version "1.8.0_392"', True, "8.0_392 at"),
        ("Error: could not find libjava.so", True, "does not run: Error: could not"),
    ],
)
def test_java_is_run_and_its_version_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, says: str, bad: bool, words: str
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(a_java(tmp_path / "java", says)))
    found = health._java()
    assert found.is_bad == bad
    assert words in found.says


def test_an_empty_java_home_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = a_java(tmp_path / "java", 'openjdk version "21.0.1"')
    monkeypatch.setenv("JAVA_HOME", "")
    monkeypatch.setenv("PATH", f"{java}/bin:{os.environ['PATH']}")
    found = health._java()
    assert not found.mend
    assert found.says.startswith("21.0.1 at")


def test_java_that_is_missing_is_told_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert health._java().is_bad
    assert not health._spark_home().is_bad


def test_packages_are_those_of_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not health._packages().mend
    monkeypatch.setattr(health, "_project", lambda: {"project": {"dependencies": ["numpy<1", "no-such-package"]}})
    found = health._packages()
    assert found.is_bad
    assert "numpy is" in found.says
    assert "no-such-package is not installed" in found.says


def test_without_java_the_command_tells_all_it_found_and_ends_with_2(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAVA_HOME": str(tmp_path), "QARM_SPARK_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "lake.launch", "doctor"],
        env=environment, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("ok    Python")]
    assert [line for line in lines if line.startswith("BAD   Java")]
    assert lines[-1].startswith("doctor: Java, surroundings: mend it first")
    assert not [line for line in lines if "Traceback" in line], json.dumps(lines)
