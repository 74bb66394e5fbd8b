"""The files of an input: which of a folder's files are data, their format, and how each of them begins."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote

from py4j.protocol import Py4JJavaError
from pyspark.errors import IllegalArgumentException

from lake.hadoop import FileStatus, HadoopFiles
from lake.logs import first_line
from schemas.errors import UnknownFormatError, UserError
from schemas.sections import FileSettings

FORMATS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
"""Formats by the extension of a file, without that of its compression."""

COMPRESSIONS = (".gz", ".bz2", ".zst", ".zstd", ".lz4", ".snappy", ".deflate")

DOCUMENTS = ("readme", "license", "licence", "notice", "changelog", "manifest", "schema", "checksum", "md5sum")
"""Files with these names beside data are left out, and so are those with one of :data:`DOCUMENT_ENDINGS`."""

DOCUMENT_ENDINGS = (".md", ".crc", ".md5", ".sha1", ".sha256", ".sig", ".asc", ".pdf", ".html", ".log")

OTHER_TABLES = {"an Iceberg table": {"metadata", "data"}, "a Hudi table": {".hoodie"}}
"""Tables of other kinds, whose files alone are not their present rows, and the folders in them."""

HEAD = 1 << 16
"""Bytes read from the beginning of every file."""

READERS = 16
"""Files whose beginnings are read at the same time."""

PARQUET = b"PAR1"

MAGIC = {
    PARQUET: "a Parquet file",
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"\x1f\x8b": "compressed by gzip",
    b"BZh": "compressed by bzip2",
    b"\x28\xb5\x2f\xfd": "compressed by Zstandard",
    b"%PDF": "a PDF",
    b"<html": "a web page",
    b"<!DOC": "a web page",
    b"<?xml": "an XML file",
    b"SQLite": "an SQLite database",
}
"""How files begin that are no text."""


@dataclass(frozen=True)
class InputFile:
    """One file of an input.

    Attributes:
        path: full path with its scheme.
        head: its first bytes, without compression.
        size: bytes on disk.
        modified: time of its last change, milliseconds since 1970.
    """

    path: str
    head: bytes
    size: int
    modified: int

    @property
    def is_whole(self) -> bool:
        """Whether the head is the whole file."""
        return len(self.head) < HEAD


def _with_one_slash(path: str) -> str:
    """A local path in the one of its forms that Hadoop writes: ``file:/tmp`` instead of ``file:///tmp``."""
    return re.sub("^file:/+", "file:/", path)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where an input is and how its files are read.

    Attributes:
        option: option that names the input, for messages.
        path: path of the file or folder.
        form: the format; "" to tell it from the files.
        form_option: option that sets the format, for messages.
        settings: how its files are read.
        section: section of the settings that holds ``settings``, for messages.
    """

    option: str
    path: str
    form: str
    form_option: str
    settings: FileSettings
    section: str

    def error(self, message: str) -> UserError:
        """The user's mistake, with the option and the path."""
        return UserError(f"{self.option} {self.path}: {message}")


@dataclass(frozen=True)
class InputFiles:
    """The files of one input.

    Attributes:
        place: where the input is and how its files are read.
        base: folder of the files, with its scheme; folders ``name=value`` within it are columns.
        form: parquet, csv, json or delta.
        files: the files with data, by path; empty for delta.
        left_out: names of files without data, with the reason.
    """

    place: Place
    base: str
    form: str
    files: tuple[InputFile, ...]
    left_out: tuple[str, ...]

    def error(self, message: str, path: str | None = None) -> UserError:
        """The user's mistake in a file, or in the input as a whole.

        Args:
            message: what is wrong, and the way out.
            path: path of the file; None for the input.
        """
        return UserError(f"{self.place.option} {self.place.path if path is None else self.shown(path)}: {message}")

    def shown(self, path: str) -> str:
        """A file's path as the user would write it; Spark writes it as a URL, with escaped characters."""
        given, base = self.place.path.rstrip("/"), _with_one_slash(self.base.rstrip("/")) + "/"
        for plain in (_with_one_slash(path), _with_one_slash(unquote(path))):
            if plain.startswith(base):
                below = plain.removeprefix(base)
                return given if f"/{given}".endswith(f"/{below}") else f"{given}/{below}"
        return path


def find_files(system: HadoopFiles, place: Place) -> InputFiles:
    """Finds the files of an input and its format.

    A path means itself: no character of it is a wildcard. Of a folder, files and folders whose names begin with ``_``
    or ``.`` are left out, empty files and documents such as ``README.txt`` too.

    Args:
        system: Hadoop's file systems.
        place: where the input is.

    Raises:
        UnknownFormatError: nothing tells the format.
        UserError: the path does not exist, or files of another kind lie among the data.
    """
    root = _root(system, place)
    base = root.path if root.is_folder else root.path.rsplit("/", 1)[0]
    if root.is_folder and _is_delta(system, root, place):
        return InputFiles(place, base, "delta", (), ())
    if place.form == "delta":
        raise place.error(f"is no Delta table, as it holds no folder _delta_log; leave {place.form_option} out")
    found = [root]
    if root.is_folder:
        found = [status for status in _walk(system, root, place) if _is_visible(status.path, root.path)]
    form = place.form or _form_of(found)
    chosen, left_out = _without_documents(found, form, place) if root.is_folder else (found, [])
    left_out += [f"{status.name} (empty)" for status in chosen if status.size == 0]
    chosen = [status for status in chosen if status.size > 0]
    if not chosen:
        raise place.error("the input has no rows")
    with ThreadPoolExecutor(READERS) as pool:
        files = tuple(pool.map(lambda status: _beginning(system, status, place), chosen))
    form = form or ("parquet" if all(file.head.startswith(PARQUET) for file in files) else "")
    if not form:
        way = f"set {place.form_option} to parquet, csv, json or delta"
        raise UnknownFormatError(f"{place.option} {place.path}: the extension names no known format; {way}")
    made = InputFiles(place, base, form, files, tuple(left_out))
    for file in files:
        _refuse_other_content(made, file)
    return made


def _is_delta(system: HadoopFiles, root: FileStatus, place: Place) -> bool:
    inside = {status.name for status in system.list(root.path)}
    for kind, marks in OTHER_TABLES.items():
        if marks <= inside:
            raise place.error(f"is {kind}, whose files hold rows of the past too; export its rows as Parquet")
    if "_delta_log" in inside and place.form not in ("", "delta"):
        raise place.error(f"is a Delta table, whose files hold rows of the past too; set {place.form_option} to delta")
    return "_delta_log" in inside


def _root(system: HadoopFiles, place: Place) -> FileStatus:
    try:
        status = system.status(place.path)
    except UserError as error:
        raise place.error(f"is no path that Hadoop accepts; write it in full, beginning with / ({error})") from None
    if status is None:
        wildcard = set("*?[{") & set(place.path)
        hint = " (a path means itself: give the folder instead of a wildcard)" if wildcard else ""
        raise place.error(f"no such file or folder{hint}")
    return status


def _walk(system: HadoopFiles, root: FileStatus, place: Place) -> list[FileStatus]:
    try:
        return system.walk(root.path)
    except Py4JJavaError as error:
        raise place.error(f"cannot be listed: {first_line(error)}") from None


def _is_visible(path: str, root: str) -> bool:
    parts = path.removeprefix(root).strip("/").split("/")
    return not any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in parts)


def ending_of(path: str) -> str:
    """The extension of a file in lower case, without that of its compression."""
    name = PurePosixPath(path.rstrip("/").lower())
    while name.suffix in COMPRESSIONS:
        name = name.with_suffix("")
    return name.suffix


def _form_of(files: Iterable[FileStatus]) -> str:
    forms = Counter(FORMATS[ending] for s in files if s.size and (ending := ending_of(s.path)) in FORMATS)
    return forms.most_common(1)[0][0] if forms else ""


def _without_documents(found: Sequence[FileStatus], form: str, place: Place) -> tuple[list[FileStatus], list[str]]:
    data = [status for status in found if FORMATS.get(ending_of(status.path)) == form]
    others = [status for status in found if FORMATS.get(ending_of(status.path)) != form]
    documents = [s for s in others if s.name.lower().startswith(DOCUMENTS) or ending_of(s.path) in DOCUMENT_ENDINGS]
    rest = [status for status in others if status not in documents]
    stranger = next((status for status in rest if status.size), None)
    if data and stranger is not None:
        raise place.error(f"{stranger.name} lies among {form} files and has another ending; move it away, or rename it")
    return data or rest, [f"{status.name} (no {form or 'data'})" for status in documents]


def _beginning(system: HadoopFiles, status: FileStatus, place: Place) -> InputFile:
    try:
        head = system.head(status.path, HEAD)
    except Py4JJavaError as error:
        raise UserError(f"{place.option} {status.path}: cannot be read; is it cut off? ({first_line(error)})") from None
    except IllegalArgumentException as error:  # a colon in a name
        raise UserError(f"{place.option} {status.path}: Hadoop cannot open it; rename it ({error})") from None
    return InputFile(status.path, head, status.size, status.modified)


def _refuse_other_content(files: InputFiles, file: InputFile) -> None:
    kind = next((kind for magic, kind in MAGIC.items() if file.head.startswith(magic)), None)
    if files.form == "parquet" and not file.head.startswith(PARQUET):
        raise files.error(f"is {kind or 'text, or damaged'}, not Parquet", file.path)
    if files.form != "parquet" and kind is not None:
        way = "give it the ending of its compression" if "compressed" in kind else f"export it as {files.form}"
        raise files.error(f"is {kind}, not {files.form}; {way}", file.path)
