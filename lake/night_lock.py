"""Keeps two nightlies of one warehouse apart, by a Delta table, which works on object stores as on file systems."""

from __future__ import annotations

import logging
import socket
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from urllib.parse import urlsplit

from pyspark.sql import functions as F

from lake.conflicts import CONFLICTS
from lake.hadoop import TEMPORARY, HadoopFiles, modified_at
from lake.logs import first_line
from lake.warehouse import Warehouse
from schemas.contract import sql_literal
from schemas.errors import QarmError, UserError
from schemas.sections import NightlySettings
from schemas.tables import LOCKS

log = logging.getLogger("qarm")

NIGHTLY = "nightly"
FOLDER = "_locks"
ATTEMPTS = 5
TWO_MAY_COMMIT = ("s3", "s3a")
"""File systems that let a second commit of a version replace the first one, unless Delta has a log store for them."""
SECONDS_TO_SETTLE = 5.0
"""For how long a nightly waits there for the commit of another one that starts at the same time."""


@dataclass(frozen=True)
class Holder:
    """The run that holds the lock, the host of its driver, and the UTC time at which it took the lock."""

    run_id: str
    host: str
    since: str


class NightLock:
    """Context manager that holds a warehouse for one nightly.

    The holder is a row of ``locks``: of two commits at the same time, Delta refuses one. The holder's signs of life are
    the modification times of a file, by the clock of its file system, as clocks of hosts differ.

    Attributes:
        dead: the killed nightly whose place this one took; None if the lock was free.

    Args:
        warehouse: the warehouse.
        run_id: the nightly.
        settings: how often it gives a sign of life, and after how long a silent one is dead.
    """

    def __init__(self, warehouse: Warehouse, run_id: str, settings: NightlySettings) -> None:
        self._warehouse = warehouse
        self._files: HadoopFiles = warehouse.files_system
        self._run_id = run_id
        self._settings = settings
        self.dead: Holder | None = None
        self._held_in: int | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._give_signs, name="qarm-heartbeat", daemon=True)

    def __enter__(self) -> NightLock:
        """Takes the lock.

        Raises:
            UserError: another nightly holds it and is alive.
        """
        try:
            self._acquire()
        except BaseException:  # also one that lost a race leaves no sign of life
            self._files.delete(self._sign_of(self._run_id))
            raise
        self._thread.start()
        return self

    def _acquire(self) -> None:
        self._warehouse.create(LOCKS)
        for _ in range(ATTEMPTS):
            holder = self.holder()
            if holder is not None:
                self._assert_dead(holder)
            if self._take(holder):
                if urlsplit(self._warehouse.root).scheme in TWO_MAY_COMMIT:
                    self._settle()
                self.dead = holder
                return
        raise UserError(f"nightly: other nightlies are starting on {self._warehouse.location}; start this one later")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Gives the lock back. Where its row cannot be removed, a nightly without a sign of life counts as dead."""
        self._ended.set()
        self._thread.join()
        name, run_id = sql_literal(NIGHTLY), sql_literal(self._run_id)
        try:
            self._warehouse.sql_on(LOCKS, f"DELETE FROM {{table}} WHERE name = {name} AND run_id = {run_id}")
        except Exception as another:  # e.g. the disk is full; what ended the night is what to tell
            log.warning("nightly: the lock's row could not be removed: %s", first_line(another))
        try:
            self._files.delete(self._sign_of(self._run_id))
        except Exception as another:  # the JVM has ended too, e.g. by a signal to all processes of a service
            log.warning("nightly: the sign of life could not be removed: %s", first_line(another))

    def holder(self) -> Holder | None:
        """The run that holds the lock; None if it is free."""
        since = F.date_format("since", "yyyy-MM-dd HH:mm:ss").alias("since")
        held = self._warehouse.read(LOCKS.name).where(F.col("name") == NIGHTLY).select("run_id", "host", since)
        rows = held.collect()
        return Holder(*rows[0]) if rows else None

    def assert_held(self) -> None:
        """Checks that no other nightly took this one for dead.

        Raises:
            QarmError: another nightly holds the lock.
        """
        version = self._warehouse.version(LOCKS.name)
        if version is not None and version == self._held_in:
            return  # nobody wrote the table since
        holder = self.holder()
        if holder is None or holder.run_id != self._run_id:
            other = "nobody" if holder is None else f"{holder.run_id} on {holder.host}"
            raise QarmError(
                f"nightly {self._run_id} was silent for longer than nightly.expires_seconds, and {other} holds"
                f" {self._warehouse.location} now; this one stops"
            )
        self._held_in = version

    def _assert_dead(self, holder: Holder) -> None:
        sign = self._files.status(self._sign_of(holder.run_id))
        since = f"{holder.since} UTC"
        if sign is not None:
            silent = (self._now() - modified_at(sign)).total_seconds()
            left = self._settings.expires_seconds - silent
            if left > 0:
                raise UserError(
                    f"run {holder.run_id} on host {holder.host} holds {self._warehouse.location} since {since}; its"
                    f" last sign of life is {silent:.0f} s old. If it was killed, start again in {left:.0f} s"
                )
        log.warning("nightly: run %s on host %s, which began %s, is dead; going on", holder.run_id, holder.host, since)
        self._files.delete(self._sign_of(holder.run_id))

    def _take(self, dead: Holder | None) -> bool:
        """Writes the row, if it still is what it was; whether it is this run's now."""
        values = ", ".join(
            (f"{sql_literal(NIGHTLY)} AS name", f"{sql_literal(self._run_id)} AS run_id",
             f"{sql_literal(socket.gethostname())} AS host", "current_timestamp() AS since")
        )  # fmt: skip
        replaced = sql_literal("" if dead is None else dead.run_id)
        statement = (
            f"MERGE INTO {{table}} AS old USING (SELECT {values}) AS new ON old.name = new.name"
            f" WHEN MATCHED AND old.run_id = {replaced} THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
        self._give_sign()
        try:
            self._warehouse.sql_on(LOCKS, statement)
        except CONFLICTS:
            return False
        holder = self.holder()
        return holder is not None and holder.run_id == self._run_id

    def _settle(self) -> None:
        """Lets the earlier of two nightlies that start at once have the row, where the commits of both may succeed.

        Each nightly gives a sign of life before its commit. After a pause, in which the other one's commit ends too,
        the later one finds the earlier one's sign and leaves, and the earlier one writes the row once more.

        Raises:
            UserError: an earlier nightly is starting.
        """
        time.sleep(SECONDS_TO_SETTLE)
        if (earlier := self._earlier_sign()) is not None:
            raise UserError(f"run {earlier} is starting on {self._warehouse.location}; start this one later")
        holder = self.holder()
        if holder is not None and holder.run_id != self._run_id:
            values = f"run_id = {sql_literal(self._run_id)}, host = {sql_literal(socket.gethostname())}"
            self._warehouse.sql_on(LOCKS, f"UPDATE {{table}} SET {values} WHERE name = {sql_literal(NIGHTLY)}")

    def _earlier_sign(self) -> str | None:
        """The run_id of an earlier nightly that gave a sign of life lately; None if there is none."""
        since = self._now() - timedelta(seconds=self._settings.expires_seconds)
        signs = self._files.list(f"{self._warehouse.root}/{FOLDER}")
        fresh = (sign.name for sign in signs if TEMPORARY not in sign.name and modified_at(sign) > since)
        return next((run_id for run_id in fresh if run_id < self._run_id), None)

    def _now(self) -> datetime:
        return self._files.now(f"{self._warehouse.root}/{FOLDER}")

    def _sign_of(self, run_id: str) -> str:
        return f"{self._warehouse.root}/{FOLDER}/{run_id}"

    def _give_sign(self) -> None:
        self._files.write_text(self._sign_of(self._run_id), "")

    def _give_signs(self) -> None:
        while not self._ended.wait(self._settings.heartbeat_seconds):
            try:
                self._give_sign()
            except Exception as error:  # the next one may succeed, and the lock expires if none does
                log.warning("nightly: no sign of life could be written: %s", first_line(error))
