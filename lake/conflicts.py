"""What Delta raises when two writers are in each other's way, and when to try again."""

from __future__ import annotations

import logging

# Importing this module makes Python raise Delta's errors as such.
import delta.exceptions.captured  # noqa: F401
from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
from tenacity import (
    before_sleep_log,
    retry,
    retry_if_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from schemas.errors import QarmError

log = logging.getLogger("qarm")


class HalfCreatedError(QarmError):
    """Another writer is creating a table, whose first commit is not there yet."""


CONFLICTS = (
    HalfCreatedError,
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)

retry_on_conflict = retry(
    retry=retry_if_exception_type(CONFLICTS),
    stop=stop_after_attempt(10),
    wait=wait_random_exponential(multiplier=0.5, max=20),
    before_sleep=before_sleep_log(log, logging.INFO),
    reraise=True,
)
"""Repeats a write that failed because another writer committed to the table meanwhile; nothing was written then."""
