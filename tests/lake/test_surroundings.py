"""What is said where the machine lacks what Spark needs."""

from __future__ import annotations

import getpass
import os
import pwd
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest

from lake.surroundings import check_surroundings, folder_of_jars
from schemas.errors import UserError
from schemas.files import ROOT
from schemas.private_folder import private_folder, user_name


def submitted(**environment: str) -> subprocess.CompletedProcess[str]:
    """Runs spark-submit.sh with other environment variables."""
    command = [str(ROOT / "spark-submit.sh"), "ingest"]
    given = {**os.environ, "QARM_PYTHON": sys.executable, "PYTHONPATH": "", **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


def test_the_pyspark_that_the_cluster_sends_in_a_zip_is_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with zipfile.ZipFile(tmp_path / "pyspark.zip", "w") as archive:
        archive.writestr("pyspark/__init__.py", "")
    monkeypatch.syspath_prepend(str(tmp_path / "pyspark.zip"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME")
    (tmp_path / "java").touch(mode=0o755)
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    check_surroundings()


def test_a_java_that_is_not_there_is_one_line() -> None:
    done = submitted(JAVA_HOME="/nowhere")
    assert done.returncode == 2
    told = "JAVA_HOME is /nowhere, but /nowhere/bin/java is no program; set it to a Java 17 or 21, or unset it"
    assert done.stderr.splitlines() == [f"spark-submit.sh: {told}"]


def test_another_spark_on_the_path_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "pyspark").mkdir()
    (tmp_path / "pyspark" / "__init__.py").write_text("raise SystemExit('another pyspark was imported')")
    java = tmp_path / "java"
    (java / "bin").mkdir(parents=True)
    (java / "bin" / "java").touch(mode=0o755)
    done = submitted(PYTHONPATH=str(tmp_path), JAVA_HOME=str(java), SPARK_HOME=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"PYTHONPATH leads to another pyspark, {tmp_path}/pyspark" in done.stderr


@pytest.mark.parametrize("version", ["11.0.20", "1.8.0_392"])
def test_a_java_that_is_too_old_is_named(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").touch(mode=0o755)
    (tmp_path / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(UserError, match=r"which is Java (11|8); set it to a Java 17 or 21"):
        check_surroundings()


def test_no_java_at_all_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no Java; install Java 17 or 21"):
        check_surroundings()


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert user_name() == f"user-{os.getuid()}"


def test_a_user_without_a_name_is_told_what_hadoop_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(UserError, match="user 4000000000 has no name on this machine, and Hadoop's login needs one"):
        check_surroundings()


@pytest.mark.parametrize("home", ["/nonexistent", "/proc"])
def test_jars_go_elsewhere_where_there_is_no_home_to_write_to(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pwd.getpwuid(os.getuid())
    assert (folder_of_jars() is None) == os.access(own.pw_dir, os.W_OK)
    entry = pwd.struct_passwd((*own[:5], home, own.pw_shell))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: entry)
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != "/proc")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = Path(folder_of_jars() or "")
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)
    with pytest.raises(UserError, match="is not this user's alone; remove it, or set TMPDIR"):
        folder_of_jars()


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    folder = private_folder("packages")
    assert private_folder("packages") == folder
    folder.chmod(0o777)
    with pytest.raises(UserError, match="is not this user's alone"):
        private_folder("packages")
    (tmp_path / "theirs").mkdir()
    (tmp_path / f"qarm-artifacts-{user_name()}").symlink_to(tmp_path / "theirs")
    (tmp_path / f"qarm-cache-{user_name()}").touch()
    for purpose in ("artifacts", "cache"):
        with pytest.raises(UserError, match="is not this user's alone"):
            private_folder(purpose)
