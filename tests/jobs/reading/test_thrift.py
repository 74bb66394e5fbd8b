"""The Thrift server, asked by PyHive and over JDBC by beeline."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pyspark
import pytest
from pyhive import hive

from jobs import thrift
from jobs.reading.session import Reader
from lake.lake import Lake
from schemas.errors import UserError
from tests.jobs.reading.test_prefix_files import coded
from tests.ports import free_port

pytestmark = pytest.mark.extras
QUERY = "SELECT item_id, title FROM items_with_prefix('7-3') ORDER BY item_id"


@pytest.fixture
def port(make_lake: Callable[..., Lake]) -> Iterator[int]:
    chosen = free_port()
    server = thrift.start(Reader(coded(make_lake())), "localhost", chosen)
    yield chosen
    server.stop()


def test_pyhive_and_jdbc_see_the_functions_of_the_night(port: int, make_lake: Callable[..., Lake]) -> None:
    with hive.connect("localhost", port=port) as connection, connection.cursor() as cursor:
        cursor.execute(QUERY)
        assert cursor.fetchall() == [("i73", "thing 73"), ("i78", "thing 78")]
    beeline = Path(pyspark.__file__).parent / "bin" / "beeline"
    asked = [str(beeline), "-u", f"jdbc:hive2://localhost:{port}", "--outputformat=csv2", "--silent=true", "-e", QUERY]
    home = {**os.environ, "SPARK_HOME": str(beeline.parents[1])}
    done = subprocess.run(asked, capture_output=True, text=True, check=False, env=home)
    assert done.stdout.partition("item_id,title")[2].split("\n")[1:3] == ["i73,thing 73", "i78,thing 78"], done.stderr
    with pytest.raises(UserError, match=f"--port {port}: the server did not start"):
        thrift.start(Reader(make_lake()), "localhost", port)
