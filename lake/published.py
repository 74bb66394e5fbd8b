"""The record of published nights: which versions of tables and artifacts readers see."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from lake.artifacts import Artifact, Artifacts
from lake.frames import EPOCH, collect_utc, frame_of
from lake.history import has_version
from lake.warehouse import Warehouse
from schemas.errors import UserError
from schemas.tables import PUBLISHED

POINTER = "published.json"
"""File of a warehouse that tells readers outside Spark what is published."""

HELD_BACK = "held back"
WITHDRAWN = "withdrawn"
BY_HAND = "by hand"
PASSED = "passed"


@dataclass(frozen=True)
class Night:
    """One row of ``published``, see :data:`schemas.tables.PUBLISHED`."""

    run_id: str
    published_at: datetime | None
    versions: Mapping[str, str]
    verdict: str

    @property
    def is_held_back(self) -> bool:
        """Whether the gate held the night back and nobody published it since."""
        return self.published_at is None and self.verdict.startswith(HELD_BACK)


def artifact_of(night: Night | None, artifacts: Artifacts, kind: str) -> Artifact | None:
    """What readers of a night see of a kind of artifact: the night's version, or the newest if the night has none.

    Args:
        night: the night; None before the first one is published.
        artifacts: the warehouse's artifacts.
        kind: kind of artifact.
    """
    versions = {} if night is None else night.versions
    return artifacts.get(kind, versions[kind]) if kind in versions else artifacts.latest(kind)


class Published:
    """Reads and writes ``published``. Each change is one commit, after which every new reader sees the other night."""

    def __init__(self, warehouse: Warehouse, artifacts: Artifacts) -> None:
        self._warehouse = warehouse
        self._artifacts = artifacts

    def nights(self) -> list[Night]:
        """All nights that were judged, oldest first. Driver memory: one row a night."""
        if not self._warehouse.exists(PUBLISHED.name):
            return []
        rows = self._warehouse.read(PUBLISHED.name).select("run_id", "published_at", "versions", "verdict")
        return [Night(**row.asDict()) for row in collect_utc(rows.orderBy("run_id"))]

    def current(self) -> Night | None:
        """The night that readers see; None before the first one is published."""
        newest = self.kept(1)
        return newest[0] if newest else None

    def kept(self, count: int) -> list[Night]:
        """The night that readers see and those published before it, which rollback can go back to.

        Args:
            count: most nights, at least 1.
        """
        seen = [night for night in self.nights() if night.published_at is not None]
        return sorted(seen, key=lambda night: night.published_at or EPOCH)[-max(count, 1) :]

    def to_keep(self, count: int) -> list[Night]:
        """Nights whose tables and artifacts stay: those of :meth:`kept`, and later ones that may yet be published.

        Args:
            count: most nights of either kind, at least 1.
        """
        published = self.kept(count)
        seen = published[-1].run_id if published else ""
        waiting = [night for night in self.nights() if night.published_at is None and night.run_id > seen]
        return [*published, *waiting[-max(count, 1) :]]

    def record(self, night: Night) -> int:
        """Writes a night, in one commit.

        Returns:
            The version of the table ``published``.
        """
        row = (night.run_id, night.published_at, dict(night.versions), night.verdict)
        rows = frame_of(self._warehouse.spark, [row], PUBLISHED.schema).coalesce(1)
        version = self._warehouse.merge(PUBLISHED, rows, compare=["published_at", "verdict"])
        assert version is not None
        return version

    def publish(self, run_id: str, now: datetime) -> Night:
        """Makes a night the one that readers see.

        Args:
            run_id: the night.
            now: the time, UTC.

        Raises:
            UserError: there is no such night, or a table or an artifact of it is no longer there.
        """
        nights = {night.run_id: night for night in self.nights()}
        if run_id not in nights:
            known = ", ".join([*nights][-5:]) or "none"
            raise UserError(f"publish {run_id}: table published has no such night; the newest are {known}")
        night = replace(nights[run_id], published_at=now, verdict=BY_HAND)
        self._assert_readable(night)
        self.record(night)
        return night

    def withdraw(self) -> Night:
        """Withdraws the night that readers see, so that they see the one before it.

        Returns:
            The night that readers see now.

        Raises:
            UserError: there is no earlier night, or a table or an artifact of it is no longer there.
        """
        newest = self.kept(2)
        if len(newest) < 2:
            raise UserError("rollback: no other night is published that readers could go back to")
        before, current = newest
        self._assert_readable(before)
        self.record(replace(current, published_at=None, verdict=WITHDRAWN))
        return before

    def _assert_readable(self, night: Night) -> None:
        for name, version in night.versions.items():
            is_table = version.isdigit()
            if has_version(self._warehouse, name, int(version)) if is_table else self._artifacts.has(name, version):
                continue
            what = f"table {name} is no longer there in version {version}" if is_table else f"{version} is gone"
            by = "VACUUM" if is_table else "a later night"
            raise UserError(f"night {night.run_id}: {what}, removed by {by} or by hand; publish a later night")

    def shown(self) -> str | None:
        """The run_id of the night in :data:`POINTER`, which is written after the views; None if none can be read."""
        pointer, files = f"{self._warehouse.root}/{POINTER}", self._warehouse.files_system
        try:
            return str(json.loads(files.read_text(pointer))["run_id"]) if files.exists(pointer) else None
        except (ValueError, KeyError, TypeError):  # cut off, where files are not replaced as a whole
            return None

    def is_withdrawn(self, run_id: str | None) -> bool:
        """Whether a night was withdrawn."""
        return any(night.run_id == run_id and night.verdict == WITHDRAWN for night in self.nights())

    def write_pointer(self, night: Night, artifacts_root: str) -> None:
        """Writes :data:`POINTER`: the night, and the path and version of each of its tables and artifacts.

        Args:
            night: the night that readers see.
            artifacts_root: folder of the artifacts.
        """
        root = self._warehouse.root
        tables = {n: {"path": f"{root}/{n}", "version": int(v)} for n, v in night.versions.items() if v.isdigit()}
        artifacts = {
            kind: {"path": f"{artifacts_root}/{kind}/{version}", "version": version}
            for kind, version in night.versions.items()
            if not version.isdigit()
        }
        at = night.published_at.isoformat() if night.published_at else None
        content = {"run_id": night.run_id, "published_at": at, "tables": tables, "artifacts": artifacts}
        self._warehouse.files_system.write_text(f"{root}/{POINTER}", json.dumps(content, indent=1, sort_keys=True))
