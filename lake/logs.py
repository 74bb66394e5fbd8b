"""The log on stderr: lines for people, or JSON for programs, each with the run and the job that it tells of."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TextIO

from py4j.protocol import Py4JJavaError
from pyspark.logger import PySparkLogger
from pythonjsonlogger.json import JsonFormatter

FORMATS = ("text", "json")
TOLD_TWICE = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")
"""Loggers of PySpark that write an error, as a line of JSON, which it raises too."""

FIELDS = "about"
"""Attribute of an error with the fields of where it was raised."""

_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039


@contextmanager
def about(**fields: str) -> Iterator[None]:
    """Adds fields, e.g. ``run_id``, to every line that is logged meanwhile; only lines of JSON show them.

    An error keeps the fields of where it was raised, see :func:`fields_of`.
    """
    token = _about.set({**_about.get(), **fields})
    try:
        yield
    except BaseException as error:
        vars(error).setdefault(FIELDS, _about.get())
        raise
    finally:
        _about.reset(token)


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to what is stderr at the time, so that lines appear above the one with the bar."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """What is stderr now."""
        return sys.stderr


class _Fields(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Adds the fields to a record."""
        vars(record).update(_about.get())
        return True


def set_up(form: str = FORMATS[0]) -> None:
    """Begins to log on stderr: qarm's own lines from INFO on, those of others from WARNING on.

    In JSON, for programs, every step of a job has its lines too, at its start and at its end.

    Args:
        form: one of :data:`FORMATS`.
    """
    handler = _Stderr()
    if form == "json":
        names = {"asctime": "time", "levelname": "level"}
        handler.setFormatter(JsonFormatter("%(asctime)s %(levelname)s %(message)s", rename_fields=names))
        handler.addFilter(_Fields())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "of_qarm", False)]:
        root.removeHandler(old)
    handler.of_qarm = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    for name in TOLD_TWICE:
        PySparkLogger.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("qarm").setLevel(logging.DEBUG if form == "json" else logging.INFO)


def fields_of(error: BaseException) -> dict[str, str]:
    """The fields of where an error was raised."""
    return dict(vars(error).get(FIELDS, {}))


def is_json() -> bool:
    """Whether the log is JSON, for programs."""
    return logging.getLogger("qarm").isEnabledFor(logging.DEBUG)


def say(text: str, level: int = logging.INFO) -> None:
    """Writes a line to stderr as it is, without a time; a log of JSON gets it as any other line."""
    if is_json():
        logging.getLogger("qarm").log(level, text)
    else:
        print(text, file=sys.stderr)


def on_terminal() -> bool:
    """Whether stderr is a terminal that can draw a line anew, and nobody asked for JSON."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb" and not is_json()


def first_line(error: BaseException) -> str:
    """What an error says, without the trace that errors of Java bring; its type if it says nothing."""
    text = str(error.java_exception if isinstance(error, Py4JJavaError) else error)
    return next(iter(text.strip().splitlines()), type(error).__name__)
