"""Writes the published semantic IDs for other programs: Parquet, tokens of a language model, or TorchEasyRec's form."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from jobs.codes.exported import LETTERS, as_tokens, item_to_sid, level_sizes, sid_to_items, token_names, with_codes
from lake.command import Command, main
from lake.declaration import Option
from lake.lake import Lake
from schemas.errors import UserError
from schemas.tables import SEMANTIC_IDS

TABLE, CODEBOOK = SEMANTIC_IDS.name, "codebook"


@dataclass(frozen=True)
class Codes:
    """What is written, and where to.

    Attributes:
        lake: Spark and the warehouse.
        rows: the codes of the items, see :func:`jobs.codes.exported.with_codes`.
        sizes: codes of each level of the codebook.
        version: version of the codebook.
        out: folder to write.
    """

    lake: Lake
    rows: DataFrame
    sizes: Sequence[int]
    version: str
    out: str


def as_parquet(codes: Codes) -> None:
    """``item_id``, ``sid``, ``codes`` as an array, the version of the codebook and when the codes were assigned."""
    codes.rows.write.parquet(codes.out)


def as_language_tokens(codes: Codes) -> None:
    """``items``: JSON lines with ``item_id`` and ``tokens``; ``tokens.json``: all tokens, to add to a tokenizer."""
    sizes = level_sizes(codes.rows, codes.sizes)
    if len(sizes) > len(LETTERS):
        raise UserError(f"--format tokens: {len(sizes)} levels have no letters; fit a codebook of fewer levels")
    as_tokens(codes.rows, len(sizes)).write.json(f"{codes.out}/items")
    codes.lake.files.write_text(f"{codes.out}/tokens.json", json.dumps(token_names(sizes)))


def as_torch_easy_rec(codes: Codes) -> None:
    """A bundle as TorchEasyRec publishes it: ``item_to_sid``, ``sid_to_items``, and the manifest last."""
    items = item_to_sid(codes.rows, codes.sizes).persist()
    buckets = sid_to_items(items, len(codes.sizes)).persist()
    written = {"item_to_sid": items, "sid_to_items": buckets.coalesce(1)}
    for name, rows in written.items():
        rows.write.parquet(f"{codes.out}/{name}")
    most = int(buckets.agg(F.max(F.size("itemids"))).collect()[0][0] or 0)
    manifest = {
        "bundle_uuid": codes.version,
        "codebook": list(codes.sizes),
        "capacity": most,
        "max_observed_items_per_sid": most,
        "item_id_type": "string",
        "artifacts": {
            name: {"save_type": "parquet", "rows": rows.count(), "location": f"{codes.out}/{name}"}
            for name, rows in written.items()
        },
    }
    codes.lake.files.write_text(f"{codes.out}/manifest.json", json.dumps(manifest, indent=2))
    for rows in (items, buckets):
        rows.unpersist()


FORMATS: dict[str, Callable[[Codes], None]] = {
    "parquet": as_parquet,
    "tokens": as_language_tokens,
    "torcheasyrec": as_torch_easy_rec,
}


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Writes a folder that does not exist yet.

    Raises:
        UserError: there are no codes, or the folder exists.
    """
    if not options.out:
        raise UserError("--out FOLDER is missing; name a folder that does not exist yet")
    out = lake.files.qualify(options.out)
    if lake.files.exists(out):
        raise UserError(f"--out {options.out}: is there already; name another folder, or remove it")
    if not lake.warehouse.exists(TABLE):
        raise UserError(f"--warehouse {lake.location}: there is no table {TABLE}; run nightly first")
    night = lake.published.current()
    versions = {} if night is None else night.versions
    table = lake.warehouse.read(TABLE, int(versions[TABLE]) if TABLE in versions else None)
    if CODEBOOK in versions:
        codebook = lake.artifacts.get(CODEBOOK, versions[CODEBOOK])
    else:
        codebook = lake.artifacts.require(CODEBOOK, "fit_codebook")
    rows = with_codes(table).persist()
    FORMATS[options.format](Codes(lake, rows, codebook.card["sizes"], codebook.version, out))
    metrics = {"export.items": float(rows.count())}
    rows.unpersist()
    return {"job": "export_semantic_ids", "status": "done", "outputs": {}, "metrics": metrics, "folder": out}


COMMAND = Command(
    name="export_semantic_ids",
    description=__doc__ or "",
    run=command,
    options=(
        Option(flags=("--out",), help="folder to write, on any file system of Hadoop", metavar="FOLDER"),
        Option(
            flags=("--format",),
            help="parquet; tokens: <a_12><b_7><c_93> for a language model; torcheasyrec: a bundle (default parquet)",
            more={"choices": tuple(FORMATS), "default": "parquet"},
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
