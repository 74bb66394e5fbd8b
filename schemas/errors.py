"""The errors of the project: mistakes of the user, and failures of the project's own code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class QarmError(Exception):
    """An error with a message of this project.

    Attributes:
        exit_code: exit code of a command that raises it.
    """

    exit_code = 1


class UserError(QarmError):
    """A mistake of the user in a file, column or setting.

    A job that raises it prints the message as its only line and ends with exit code 2. The message names the file,
    column or setting, and how to correct the mistake.
    """

    exit_code = 2


class UnknownFormatError(UserError):
    """Neither a setting nor the names of an input's files tell their format."""


class RefusedModelError(UserError):
    """A model holds something that cannot be rewritten with the same scores; the message names it and the way out."""


class HeldBackError(QarmError):
    """The gate held the night back; readers still see the published one. The command ends with exit code 3."""

    exit_code = 3


class FullDiskError(QarmError):
    """A disk has no space left. The command tells so in one line and ends with exit code 1."""


class ContractError(QarmError):
    """Rows break the contract of their table; nothing was written."""


class UndeclaredError(Exception):
    """A job read or wrote a table or artifact that its declaration does not name; the code has to be corrected."""


@contextmanager
def user_mistakes() -> Iterator[None]:
    """Turns errors into UserError, around a call that fails only if a setting is wrong or a file is missing.

    Raises:
        UserError: instead of a ValueError, FileNotFoundError or FloatingPointError.
    """
    try:
        yield
    except (ValueError, FileNotFoundError, FloatingPointError) as error:
        raise UserError(str(error)) from None
