from __future__ import annotations

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from models.feed.file_systems import S3Files, opened, reads_in_place


@pytest.mark.parametrize("scheme", ["s3", "s3a", "s3n"])
def test_a_path_on_s3_is_the_same_under_all_of_its_names(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    system, paths = opened([f"{scheme}://lake/night/day%3D1/a%20b.parquet"])
    assert isinstance(system, S3Files)
    assert paths == ["lake/night/day=1/a b.parquet"]


class Asked(BaseHTTPRequestHandler):
    """A server that has nothing, and remembers what it was asked for."""

    paths: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.paths.append(self.path)
        self.send_response(404)
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None: ...


def test_s3_is_looked_for_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        assert not reads_in_place("s3a://lake/x.parquet")
        server.shutdown()
    assert Asked.paths[0] == "/lake/x.parquet"


def test_what_a_feed_cannot_read_is_said_before_it_tries(tmp_path: Path) -> None:
    file = tmp_path / "a b.parquet"
    file.touch()
    assert reads_in_place(file.as_uri())
    assert not reads_in_place((tmp_path / "none.parquet").as_uri())
    assert not reads_in_place("hdfs://namenode:8020/x.parquet")
    with pytest.raises(ValueError, match="file: and s3: alone, not of file, hdfs"):
        opened([file.as_uri(), "hdfs://namenode:8020/x.parquet"])
