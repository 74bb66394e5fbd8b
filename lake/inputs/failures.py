"""Errors of Spark while it reads a file of the user, as one line that names the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException, PySparkException

from lake.inputs.files import InputFiles
from lake.logs import first_line

UNREADABLE = re.compile(r"FAILED_READ_FILE|CANNOT_READ_FILE_FOOTER|FileNotFoundException|MALFORMED_CSV|PARQUET_TYPE")

A_FILE = re.compile(r"(?:reading file|footer for file:?|File) (\S+?)[.,]?(?:\s|$)")

CAUSES = {
    "EOFException": "it is cut off",
    "ZipException": "it is damaged or cut off",
    "not a gzip file": "it is not compressed by gzip",
    "not a Parquet file": "it is not Parquet, or cut off",
    "FileNotFoundException": "it was removed while it was read",
}


@contextmanager
def reading(files: InputFiles) -> Iterator[None]:
    """Turns an error of Spark that is about a file into one of the user.

    Raises:
        UserError: instead of an error of Spark about a file's content or form; other errors pass.
    """
    try:
        yield
    except AnalysisException as error:
        raise files.error(f"cannot be read as {files.form}: {first_line(error)}") from None
    except (Py4JJavaError, PySparkException) as error:
        text = str(error)
        if not UNREADABLE.search(text):
            raise
        found = A_FILE.search(text)
        cause = next((meaning for sign, meaning in CAUSES.items() if sign in text), first_line(error))
        raise files.error(f"cannot be read: {cause}", found.group(1) if found else None) from None
