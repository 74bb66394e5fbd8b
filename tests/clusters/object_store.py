"""S3 on loopback: moto's server, a process of an environment of its own."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pa_fs

from tests.ports import free_port

PACKAGE = "org.apache.hadoop:hadoop-aws:3.4.1"
"""S3A. It brings AWS's SDK, a jar of 558 MB."""

PLAIN_UPLOADS = "spark.hadoop.fs.s3a.optimized.copy.from.local.enabled=false"
"""S3A uploads local files by AWS's asynchronous client, with which moto's server does not get on: it closes the
connection before the client has sent all. With this setting S3A uploads them as it writes all other files."""

BUCKET = "lake"
WAIT = 60


@dataclass(frozen=True)
class ObjectStore:
    """A running server with one bucket.

    Attributes:
        endpoint: its URL.
        environment: the environment variables by which Spark, pyarrow and delta-rs find it and log in.
        options: options of spark-submit.sh.
        log: the file in which the server writes each request that it gets.
    """

    endpoint: str
    environment: dict[str, str]
    options: tuple[str, ...]
    log: Path

    @property
    def files(self) -> pa_fs.S3FileSystem:
        """pyarrow's own view of the server."""
        host = self.endpoint.removeprefix("http://")
        key, secret = self.environment["AWS_ACCESS_KEY_ID"], self.environment["AWS_SECRET_ACCESS_KEY"]
        return pa_fs.S3FileSystem(
            endpoint_override=host, scheme="http", access_key=key, secret_key=secret, region="us-east-1",
            allow_bucket_creation=True,
        )  # fmt: skip

    def put(self, local: str, name: str) -> str:
        """Copies a local file into the bucket, below ``input/``.

        Returns:
            Its URL for Hadoop.
        """
        with self.files.open_output_stream(f"{BUCKET}/input/{name}") as stream:
            stream.write(Path(local).read_bytes())
        return f"s3a://{BUCKET}/input/{name}"

    def requests(self) -> list[str]:
        """The requests so far: method, path and status."""
        lines = re.sub(r"\x1b\[\d+m", "", self.log.read_text(encoding="utf-8")).splitlines()
        return [line for line in lines if "HTTP/" in line]

    def read(self, path: str) -> str:
        """The text of a file in the bucket."""
        with self.files.open_input_stream(f"{BUCKET}/{path}") as stream:
            return stream.read().decode()


@contextmanager
def object_store(python: Path, folder: Path) -> Iterator[ObjectStore]:
    """An S3 server with an empty bucket.

    Args:
        python: the Python that has moto.
        folder: for its log.
    """
    port = free_port()
    log = folder / "moto.log"
    command = [str(python.parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with log.open("w") as stream:
        server = subprocess.Popen(command, stdout=stream, stderr=stream)
    endpoint = f"http://127.0.0.1:{port}"
    environment = {
        "AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "a-key", "AWS_SECRET_ACCESS_KEY": "a-secret",
        "AWS_REGION": "us-east-1",
    }  # fmt: skip
    store = ObjectStore(endpoint, environment, ("--packages", PACKAGE, "--conf", PLAIN_UPLOADS), log)
    try:
        deadline = time.monotonic() + WAIT
        while True:
            try:
                store.files.create_dir(BUCKET)
                break
            except OSError:
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                assert server.poll() is None, log.read_text()[-2000:]
                time.sleep(0.5)
        yield store
    finally:
        server.terminate()
        server.wait(timeout=30)
