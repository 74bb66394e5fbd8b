"""A Spark SQL shell that knows the tables and views of the warehouse."""

from __future__ import annotations

import argparse
import cmd
import sys

from pyspark.errors import PySparkException, PythonException

from jobs.reading.session import Reader
from lake.command import Command, main
from lake.declaration import Option
from lake.lake import Lake
from schemas.errors import UserError
from schemas.functions import FUNCTIONS, MODEL_FUNCTIONS


class Shell(cmd.Cmd):
    """Reads statements that end with a semicolon, and prints their rows."""

    prompt = "qarm> "
    use_rawinput = sys.stdin.isatty()

    def __init__(self, reader: Reader, rows: int) -> None:
        super().__init__()
        self._reader = reader
        self._rows = rows
        self._pending = ""

    def onecmd(self, line: str) -> bool:
        """Reads one line; a statement is run when its line ends with a semicolon."""
        if line == "EOF" or line.strip().lower() in ("exit", "quit", "exit;", "quit;"):
            if self._pending.strip():
                self._run(self._pending)
            return True
        self._pending = f"{self._pending}\n{line}".strip()
        if self._pending.endswith(";"):
            self._run(self._pending)
            self._pending = ""
        self.prompt = "   -> " if self._pending else "qarm> "
        return False

    def _run(self, statement: str) -> None:
        try:
            show(self._reader, statement, self._rows)
        except UserError as error:
            print(error, file=sys.stderr)


def show(reader: Reader, statement: str, rows: int) -> None:
    """Runs one statement and prints its rows.

    Args:
        reader: the session.
        statement: SQL, with or without a semicolon.
        rows: most rows to print.

    Raises:
        UserError: Spark refuses the statement, or a function fails.
    """
    reader.prepare(statement)
    try:
        result = reader.lake.spark.sql(statement.strip().rstrip(";"))
        if result.columns:
            result.show(rows, truncate=False)
    except PythonException as error:  # a trace of Python's, which ends with the error
        raise UserError(str(error).strip().splitlines()[-1]) from None
    except PySparkException as error:
        raise UserError(str(error).split(";\n'")[0].splitlines()[0]) from None


def command(lake: Lake, options: argparse.Namespace) -> None:
    """Makes tables, views and functions available by name, then runs the statements of ``-e`` or the shell.

    Raises:
        UserError: the warehouse does not exist.
    """
    reader = Reader(lake)
    if options.e:
        for statement in options.e:
            show(reader, statement, options.rows)
        return
    told = f"Tables and views: {', '.join(reader.names)}\nFunctions: {', '.join([*FUNCTIONS, *MODEL_FUNCTIONS])}"
    Shell(reader, options.rows).cmdloop(f"{told}\nEnd a statement with ; and leave the shell with exit.")


COMMAND = Command(
    name="sql",
    description=__doc__ or "",
    run=command,
    examples=(
        "",
        '-e "SELECT sid, count(*) FROM semantic_ids GROUP BY sid ORDER BY 2 DESC LIMIT 5"',
    ),
    options=(
        Option(
            flags=("-e",),
            help="run this statement instead of the shell; repeatable",
            metavar="SQL",
            more={"action": "append"},
        ),
        Option(
            flags=("--rows",),
            help="most rows to print (default 1000)",
            metavar="N",
            more={"type": int, "default": 1000},
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
