"""Artifacts: versions of model files in the warehouse, with checksums; an incomplete version is never read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from pyspark.sql import SparkSession

from lake.hadoop import HadoopFiles
from schemas.errors import QarmError, UserError
from schemas.private_folder import private_folder

MANIFEST = "MANIFEST.json"
CURRENT = "CURRENT"
UNUSED_DAYS = 7
"""For how long a host keeps its copy of an artifact that nothing fetches."""


@dataclass(frozen=True)
class Artifact:
    """One version of one kind of artifact.

    Attributes:
        kind: kind of artifact, e.g. ``encoder`` or ``codebook``.
        version: ``<kind>-<UTC time>-<digest>``, unique over all kinds.
        url: folder of the files.
        card: description: recipe, data it was fitted on, quality.
        files: file names with their SHA-256.
    """

    kind: str
    version: str
    url: str
    card: Mapping[str, Any]
    files: Mapping[str, str]

    @property
    def digest(self) -> str:
        """A hash of the files' contents; the time of publishing does not change it."""
        return hashlib.sha256(json.dumps(dict(self.files), sort_keys=True).encode()).hexdigest()[:16]

    def made_by(self, recipe: Mapping[str, Any], may_lack_newer_settings: bool = False) -> bool:
        """Whether the artifact was made by a recipe.

        Args:
            recipe: settings and inputs that an artifact is made from, by name.
            may_lack_newer_settings: whether the artifact's own recipe may lack names that are in ``recipe``, as it
                does if a later version of qarm added these settings.
        """
        own = self.card.get("recipe")
        if not may_lack_newer_settings or not own:
            return own == dict(recipe)
        return own.keys() <= recipe.keys() and all(recipe[name] == value for name, value in own.items())


class Artifacts:
    """The artifacts of one warehouse, under ``<warehouse>/_artifacts/<kind>/<version>/``.

    ``root`` is the folder of all kinds.

    The manifest of a version is written last, and a folder without a manifest is ignored, so that every version is
    complete. A version is never written twice.
    """

    def __init__(self, spark: SparkSession, root: str) -> None:
        self._spark = spark
        self._files = HadoopFiles(spark)
        self.root = f"{root}/_artifacts"

    def publish(self, kind: str, folder: Path, card: Mapping[str, Any]) -> Artifact:
        """Stores the files of a local folder as a new version and makes it current.

        Args:
            kind: kind of artifact.
            folder: local folder with the files; subfolders are ignored.
            card: description that can be written as JSON.
        """
        files = {path.name: _sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
        now = datetime.now(UTC)
        digest = hashlib.sha256(json.dumps([files, card], sort_keys=True).encode()).hexdigest()[:8]
        version = f"{kind}-{now:%Y%m%dT%H%M%S%f}-{digest}"
        url = f"{self.root}/{kind}/{version}"
        self._files.upload(folder, url)
        manifest = {"kind": kind, "version": version, "created_at": now.isoformat(), "card": card, "files": files}
        self._files.write_text(f"{url}/{MANIFEST}", json.dumps(manifest, indent=1, sort_keys=True))
        artifact = Artifact(kind, version, url, card, files)
        self.make_current(artifact)
        return artifact

    def make_current(self, artifact: Artifact) -> None:
        """Makes a version current, so that :meth:`latest` returns it."""
        self._files.write_text(f"{self.root}/{artifact.kind}/{CURRENT}", artifact.version)

    def get(self, kind: str, version: str) -> Artifact:
        """One version.

        Raises:
            QarmError: the version does not exist or is not complete.
        """
        url = f"{self.root}/{kind}/{version}"
        if not self.has(kind, version):
            raise QarmError(
                f"artifact {version} is not complete: {url}/{MANIFEST} is missing; run the job that publishes it"
            )
        try:
            manifest = json.loads(self._files.read_text(f"{url}/{MANIFEST}"))
        except json.JSONDecodeError:
            raise QarmError(
                f"artifact {version}: {MANIFEST} is damaged; restore the file, or remove the folder {url}: the next"
                " nightly then makes it anew"
            ) from None
        return Artifact(kind, version, url, manifest["card"], manifest["files"])

    def has(self, kind: str, version: str) -> bool:
        """Whether a version is there and complete."""
        return self._files.exists(f"{self.root}/{kind}/{version}/{MANIFEST}")

    def versions(self, kind: str) -> list[str]:
        """Complete versions, oldest first."""
        folders = [status for status in self._files.list(f"{self.root}/{kind}") if status.is_folder]
        return [f.name for f in folders if self._files.exists(f"{f.path}/{MANIFEST}")]

    def latest(self, kind: str) -> Artifact | None:
        """The version that was published or made current last; None if there is none."""
        versions = self.versions(kind)
        if not versions:
            return None
        pointer = f"{self.root}/{kind}/{CURRENT}"
        named = self._files.read_text(pointer) if self._files.exists(pointer) else ""
        return self.get(kind, named if named in versions else versions[-1])

    def by_recipe(self, kind: str, recipe: Mapping[str, Any], may_lack_newer_settings: bool = False) -> Artifact | None:
        """The newest version that was made by a recipe, see :meth:`Artifact.made_by`; None if there is none."""
        found = (self.get(kind, version) for version in reversed(self.versions(kind)))
        return next((artifact for artifact in found if artifact.made_by(recipe, may_lack_newer_settings)), None)

    def prune(self, kind: str, keep: int, spare: Collection[str] = ()) -> list[str]:
        """Removes all but the newest versions of a kind, and what uploads that were cut off left behind.

        Args:
            kind: kind of artifact.
            keep: number of versions to keep, at least 1.
            spare: further versions to keep.

        Returns:
            The versions that were removed.
        """
        complete = self.versions(kind)
        newest = complete[-1] if complete else ""
        unfinished = [f.name for f in self._files.list(f"{self.root}/{kind}") if f.is_folder and f.name < newest]
        old = {*complete[: -max(keep, 1)], *unfinished} - {*complete[-max(keep, 1) :], *spare}
        for version in sorted(old):
            self._files.delete(f"{self.root}/{kind}/{version}")
        return sorted(old)

    def kinds(self) -> list[str]:
        """The kinds of artifact that there are."""
        return [status.name for status in self._files.list(self.root) if status.is_folder]

    def require(self, kind: str, made_by: str) -> Artifact:
        """The current version of a kind.

        Args:
            kind: kind of artifact.
            made_by: job that publishes the kind, for the message.

        Raises:
            UserError: there is no version yet.
        """
        artifact = self.latest(kind)
        if artifact is None:
            raise UserError(f"no {kind} under {self.root}; run {made_by} first, or nightly")
        return artifact

    def fetch(self, artifact: Artifact) -> Path:
        """A local folder with the artifact's files; their checksums are verified. A host has at most one copy.

        Raises:
            QarmError: a file is missing or damaged.
        """
        local = self._files.local_path(artifact.url)
        if local is not None:
            _verify(local, artifact)
            return local
        cache = private_folder("artifacts")
        target = cache / f"{artifact.version}-{hashlib.sha256(artifact.url.encode()).hexdigest()[:8]}"
        with FileLock(f"{target}.lock"):
            if not target.exists():
                partial = target.with_suffix(".partial")
                shutil.rmtree(partial, ignore_errors=True)
                self._files.download(artifact.url, partial)
                try:
                    _verify(partial, artifact)
                except QarmError:
                    shutil.rmtree(partial)
                    raise
                partial.rename(target)
            os.utime(target)
        _remove_unused(cache)
        return target

    def ship(self, artifact: Artifact) -> str:
        """Makes the artifact's files readable on every executor.

        The files of a ``file:`` warehouse are used in place, as all hosts must see this folder to read the tables.
        From any other file system, Spark's file distribution makes one copy per host.

        Returns:
            The argument for :func:`udfs.workers.shipped`: a path, or a name for ``SparkFiles``.
        """
        if artifact.url.startswith("file:"):
            return str(self.fetch(artifact))
        self._spark.sparkContext.addFile(artifact.url, recursive=True)
        return artifact.version


def _remove_unused(cache: Path) -> None:
    """Removes copies that nothing fetched for :data:`UNUSED_DAYS`."""
    limit = time.time() - UNUSED_DAYS * 86_400
    for folder in filter(Path.is_dir, cache.iterdir()):
        with contextlib.suppress(FileNotFoundError):  # another process removed it
            if folder.stat().st_mtime > limit:
                continue
            with FileLock(f"{folder}.lock"):
                if folder.stat().st_mtime < limit:  # nobody fetched it meanwhile
                    shutil.rmtree(folder)


def _verify(folder: Path, artifact: Artifact) -> None:
    for name, checksum in artifact.files.items():
        path = folder / name
        if not path.is_file():
            raise QarmError(f"artifact {artifact.version}: {name} is missing; {_way_out(artifact)}")
        if _sha256(path) != checksum:
            raise QarmError(
                f"artifact {artifact.version}: {name} is damaged (its checksum differs); {_way_out(artifact)}"
            )


def _way_out(artifact: Artifact) -> str:
    return f"restore the file, or remove the folder {artifact.url}: the next nightly then makes it anew"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
