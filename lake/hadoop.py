"""Files on any Hadoop file system, accessed through Spark."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from lake.logs import first_line
from schemas.errors import QarmError, UserError

RENAMES_IN_ONE_STEP = ("hdfs", "viewfs")
"""File systems whose renaming replaces a file in one step. Object stores show a file only once it is whole."""

TEMPORARY = "._qarm_"
"""How the names of files begin that are there for a moment; Spark and Delta read none of them."""

OBJECT_STORES = ("s3a", "s3", "gs")
"""File systems whose folders are no more than the beginnings of their files' names."""


@dataclass(frozen=True)
class FileStatus:
    """One file or folder.

    Attributes:
        path: full path with its scheme.
        size: bytes; 0 for a folder.
        modified: milliseconds since 1970.
        is_folder: whether it is a folder.
    """

    path: str
    size: int
    modified: int
    is_folder: bool

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rsplit("/", 1)[-1]


class HadoopFiles:
    """File operations with Spark's credentials and file systems (local, hdfs, s3a, abfs, gs, viewfs, …)."""

    def __init__(self, spark: SparkSession) -> None:
        self._jvm: Any = spark._jvm
        self._gateway: Any = spark.sparkContext._gateway
        self._conf: Any = spark._jsc.hadoopConfiguration()

    def _open(self, url: str) -> tuple[Any, Any]:
        try:
            path = self._jvm.org.apache.hadoop.fs.Path(url)
            return path.getFileSystem(self._conf), path
        except Py4JJavaError as error:
            raise UserError(f"{url}: {first_line(error)}") from None

    def qualify(self, url: str) -> str:
        """The absolute URL of a path, with its scheme."""
        system, path = self._open(url)
        return str(system.makeQualified(path).toString())

    def local_path(self, url: str) -> Path | None:
        """The local path of a URL; None if the URL is on another file system."""
        system, path = self._open(url)
        uri = system.makeQualified(path).toUri()
        return Path(uri.getPath()) if uri.getScheme() == "file" else None

    def exists(self, url: str) -> bool:
        """Whether a file or folder exists."""
        return self.status(url) is not None

    def status(self, url: str) -> FileStatus | None:
        """A file or folder; None if it does not exist.

        Raises:
            UserError: the URL is not valid, or its file system cannot be reached.
        """
        try:
            system, path = self._open(url)
            return _status(system.getFileStatus(path)) if system.exists(path) else None
        except Py4JJavaError as error:
            raise UserError(f"{url}: {first_line(error)}") from None

    def head(self, url: str, count: int) -> bytes:
        """The first bytes of a file, decompressed if its extension names a compression.

        Args:
            url: the file.
            count: most bytes that are read.
        """
        system, path = self._open(url)
        codec = self._jvm.org.apache.hadoop.io.compress.CompressionCodecFactory(self._conf).getCodec(path)
        stream = system.open(path)
        try:
            return bytes((codec.createInputStream(stream) if codec else stream).readNBytes(count))
        finally:
            stream.close()

    def parquet_schema(self, url: str) -> Any:
        """The schema of a Parquet file, as an object of Parquet's Java library.

        Raises:
            Py4JJavaError: the file is no complete Parquet file.
        """
        _, path = self._open(url)
        parquet = self._jvm.org.apache.parquet.hadoop
        reader = parquet.ParquetFileReader.open(parquet.util.HadoopInputFile.fromPath(path, self._conf))
        try:
            return reader.getFooter().getFileMetaData().getSchema()
        finally:
            reader.close()

    def walk(self, url: str) -> list[FileStatus]:
        """All files of a folder and its subfolders, sorted by path; for a file, the file itself."""
        system, path = self._open(url)
        found, files = [], system.listFiles(path, True)
        while files.hasNext():
            found.append(_status(files.next()))
        return sorted(found, key=lambda status: status.path)

    def list(self, url: str) -> list[FileStatus]:
        """Files and folders in a folder, sorted by name; empty if the folder does not exist."""
        system, path = self._open(url)
        if not system.exists(path):
            return []
        return sorted((_status(status) for status in system.listStatus(path)), key=lambda status: status.path)

    def read_text(self, url: str) -> str:
        """The text of a small file."""
        system, path = self._open(url)
        stream = system.open(path)
        try:
            return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)).decode()
        finally:
            stream.close()

    def write_text(self, url: str, text: str) -> None:
        """Writes a small file in one step: whoever reads it meanwhile sees the old text or the new one, whole."""
        local = self.local_path(url)
        if local is not None:
            local.parent.mkdir(parents=True, exist_ok=True)
            partial = local.with_name(_temporary(local.name))
            try:
                partial.write_text(text, encoding="utf-8")
                local.with_name(f".{local.name}.crc").unlink(missing_ok=True)  # Hadoop's checksum of the old text
                partial.replace(local)
            finally:
                partial.unlink(missing_ok=True)
            return
        system, path = self._open(url)
        renames = system.getScheme() in RENAMES_IN_ONE_STEP
        target = self._jvm.org.apache.hadoop.fs.Path(path.getParent(), _temporary(path.getName())) if renames else path
        stream = system.create(target, True)
        try:
            stream.write(bytearray(text.encode()))
        finally:
            stream.close()
        if renames:
            hadoop = self._jvm.org.apache.hadoop.fs
            options = self._array_of(hadoop.Options.Rename.OVERWRITE)
            hadoop.FileContext.getFileContext(path.toUri(), self._conf).rename(target, path, options)

    def _array_of(self, option: Any) -> Any:
        array = self._gateway.new_array(self._jvm.org.apache.hadoop.fs.Options.Rename, 1)
        array[0] = option
        return array

    def now(self, folder: str) -> datetime:
        """The time by the clock of a folder's file system, which all hosts share.

        Args:
            folder: a folder that can be written to.
        """
        probe = f"{folder}/{_temporary('clock')}"
        self.write_text(probe, "")
        status = self.status(probe)
        self.delete(probe)
        assert status is not None
        return modified_at(status)

    def upload(self, local: Path, url: str) -> None:
        """Copies a local file or folder to a URL that does not exist yet."""
        system, path = self._open(url)
        try:
            system.copyFromLocalFile(False, True, self._jvm.org.apache.hadoop.fs.Path(local.resolve().as_uri()), path)
        except Py4JJavaError as error:
            raise QarmError(f"{url}: upload failed: {first_line(error)}") from None

    def download(self, url: str, local: Path) -> None:
        """Copies a file or folder to a local path that does not exist yet."""
        system, path = self._open(url)
        system.copyToLocalFile(False, path, self._jvm.org.apache.hadoop.fs.Path(local.resolve().as_uri()), True)

    def delete(self, url: str) -> None:
        """Removes a file, or a folder with its content."""
        system, path = self._open(url)
        system.delete(path, True)

    def ensure_writable(self, url: str) -> None:
        """Checks that a folder can be created and written to, by writing a file and removing it.

        If the folder does not exist, the file is written to the nearest parent that does: a folder made for the check
        and removed after it could be removed under the hands of another process that begins at the same moment. In an
        object store there are no folders to make, and often nobody may write above the warehouse.

        Raises:
            UserError: the folder cannot be written.
        """
        system, path = self._open(url)
        try:
            path = _nearest(system, path)
            probe = self._jvm.org.apache.hadoop.fs.Path(path, _temporary("probe"))
            system.create(probe, True).close()
            system.delete(probe, False)
        except Py4JJavaError as error:
            raise UserError(f"--warehouse {url}: cannot be written: {first_line(error)}") from None

    def probe_folder(self, url: str) -> str:
        """A new name for a folder, for trying out what can be done in a folder, see :meth:`ensure_writable`."""
        system, path = self._open(url)
        nearest = str(system.makeQualified(_nearest(system, path)).toString())
        return f"{nearest.rstrip('/')}/{_temporary('probe')}"

    def free_bytes(self, url: str) -> int:
        """Bytes that are free in the file system of a folder; an object store names a huge number."""
        system, path = self._open(url)
        return int(system.getStatus(_nearest(system, path)).getRemaining())


def _nearest(system: Any, path: Any) -> Any:
    """The path, or the nearest folder above it that exists; in an object store the path itself."""
    while system.getScheme() not in OBJECT_STORES and not system.exists(path) and path.getParent() is not None:
        path = path.getParent()
    return path


def _temporary(name: str) -> str:
    return f"{TEMPORARY}{name}-{secrets.token_hex(4)}"


def modified_at(status: FileStatus) -> datetime:
    """When a file was last written, by the clock of its file system."""
    return datetime.fromtimestamp(status.modified / 1000, UTC)


def _status(status: Any) -> FileStatus:
    return FileStatus(
        path=str(status.getPath().toString()),
        size=int(status.getLen()),
        modified=int(status.getModificationTime()),
        is_folder=bool(status.isDirectory()),
    )
