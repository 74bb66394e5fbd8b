"""Serves the published tables, views and functions over JDBC, by Spark's own Thrift server."""

from __future__ import annotations

import argparse
import logging
import time
from typing import Any

from py4j.protocol import Py4JJavaError, Py4JNetworkError

from jobs.reading.session import Reader
from lake.command import Command, main
from lake.declaration import Option
from lake.lake import Lake
from schemas.errors import UserError

log = logging.getLogger("qarm")


def start(reader: Reader, host: str, port: int) -> Any:
    """Starts the server in the session's driver; it answers from threads of its own.

    All connections share the session, and with it the night, its functions and its temporary views.

    Args:
        reader: the session.
        host: name or address of this host that the server listens on.
        port: its port.

    Returns:
        The server; its ``stop`` ends it.

    Raises:
        UserError: the port is taken, or the host is not one of this machine.
    """
    spark = reader.lake.spark
    spark.conf.set("hive.server2.thrift.bind.host", host)
    spark.conf.set("hive.server2.thrift.port", str(port))
    jvm: Any = spark._jvm
    session: Any = spark._jsparkSession
    try:
        return jvm.org.apache.spark.sql.hive.thriftserver.HiveThriftServer2.startWithContext(session.sqlContext())
    except Py4JJavaError as error:
        raise UserError(f"--host {host} --port {port}: the server did not start: {_reason(error)}") from None


def _reason(error: Py4JJavaError) -> str:
    cause: Any = error.java_exception
    while cause.getCause() is not None:
        cause = cause.getCause()
    return str(cause.getMessage())


def look(reader: Reader) -> None:
    """Goes on to another night if one is published; a failure is logged, and the next look tries again.

    Raises:
        Py4JNetworkError: the JVM has ended, and the server with it.
    """
    try:
        if reader.refresh():
            log.info("thrift: goes on to another night")
    except Py4JNetworkError:
        raise
    except Exception as error:
        told = next(iter(str(error).strip().splitlines()), repr(error))
        log.warning("thrift: could not go on to another night, and will try again: %s", told)


def command(lake: Lake, options: argparse.Namespace) -> None:
    """Serves until it is interrupted, and goes on to the next night when one is published.

    Raises:
        UserError: the warehouse does not exist, or the server cannot listen there.
    """
    reader = Reader(lake)
    reader.register_model()
    server = start(reader, options.host, options.port)
    log.info("thrift: jdbc:hive2://%s:%d answers; Ctrl-C ends it", options.host, options.port)
    try:
        while True:
            time.sleep(options.refresh)
            look(reader)
    except KeyboardInterrupt:
        log.info("thrift: ends")
    finally:
        server.stop()


COMMAND = Command(
    name="thrift",
    description=__doc__ or "",
    run=command,
    options=(
        Option(
            flags=("--host",),
            help="host to listen on (default localhost; the server asks nobody for a password)",
            metavar="HOST",
            more={"default": "localhost"},
        ),
        Option(flags=("--port",), help="port (default 10000)", metavar="PORT", more={"type": int, "default": 10_000}),
        Option(
            flags=("--refresh",),
            help="seconds between two looks for a newly published night (default 60)",
            metavar="SECONDS",
            more={"type": float, "default": 60.0},
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
