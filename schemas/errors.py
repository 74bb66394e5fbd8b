"""The two kinds of failure a job tells apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class QarmError(Exception):
    """A failure this project names itself; ends a job with exit code 1."""


class UserError(QarmError):
    """A mistake of the user's: a file, column or setting that is wrong.

    A job ends with exit code 2 and the message as its only line, so the message names the file, column or setting and
    the way out.
    """


class ContractError(QarmError):
    """Rows that a table's contract does not allow; the write did not happen."""


class UndeclaredError(QarmError):
    """A job touched a table or artifact that its declaration does not name; a mistake of the code."""


@contextmanager
def user_mistakes() -> Iterator[None]:
    """Around a call that fails only where the settings name something wrong or missing.

    Raises:
        UserError: in place of a ValueError, FileNotFoundError or FloatingPointError.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        raise UserError(str(error)) from None
