"""Writes the ranker for online serving: two torch programs, their inputs' spec, and an example with its scores."""

from __future__ import annotations

import argparse
import io
import logging
from typing import Any

import numpy as np

from jobs.training.rankers import published_rankers, trained_with
from lake.artifacts import Artifact
from lake.command import Command, main
from lake.declaration import Option
from lake.execution import new_run_id
from lake.lake import Lake
from lake.scratch import scratch_folder
from models.ranker.baseline import RANKER
from models.ranker.network.saved import load_ranker
from models.ranker.serving.export import export
from models.ranker.serving.inputs import Lengths
from schemas.errors import UserError

log = logging.getLogger("qarm")

NEIGHBOURS = "neighbours.npy"
HEADER = 128
"""Bytes that hold the header of an array's file."""


def lengths_of(lake: Lake, rankers: Artifact) -> Lengths:
    """Numbers of columns that the ranker was trained with, as its search index tells them.

    Raises:
        UserError: the index does not exist any more.
    """
    index = trained_with(rankers, lake.artifacts.get)
    header = io.BytesIO(lake.files.head(f"{index.url}/{NEIGHBOURS}", HEADER))
    np.lib.format.read_magic(header)  # type: ignore[no-untyped-call]
    (_, width), _, _ = np.lib.format.read_array_header_1_0(header)  # type: ignore[no-untyped-call]
    examples = index.card["examples"]
    return Lengths(recent=examples["recent_length"], found=examples["found_length"], neighbours=width)


def command(lake: Lake, options: argparse.Namespace) -> dict[str, Any]:
    """Exports the published ranker into a new folder. Driver memory: four times the ranker.

    Raises:
        UserError: no folder is named, it exists, there is no ranker, or an earlier qarm made it.
    """
    if options.out is None:
        raise UserError("--out FOLDER is missing: the folder that the files are written to")
    if lake.files.exists(options.out):
        raise UserError(f"--out {options.out}: it exists; name a folder that does not exist yet")
    rankers = published_rankers(lake)
    ranker = load_ranker(lake.artifacts.fetch(rankers), RANKER)
    with scratch_folder() as folder:
        found = export(
            ranker, lengths_of(lake, rankers), rankers.version, candidates=options.candidates, folder=folder
        )  # fmt: skip
        lake.files.upload(folder, options.out)
    log.info("export_ranker: %s in %s", rankers.version, options.out)
    metrics = {f"export.{name}": value for name, value in found.items()}
    outputs = {"ranker": rankers.version}
    return {"job": "export_ranker", "status": "done", "run_id": new_run_id(), "outputs": outputs, "metrics": metrics}


def _count(text: str) -> int:
    """A number of candidates, 2 or more."""
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 2 on")
    return int(text)


COMMAND = Command(
    name="export_ranker",
    description=__doc__ or "",
    run=command,
    options=(
        Option(flags=("--out",), help="folder or URL that does not exist yet", metavar="FOLDER"),
        Option(
            flags=("--candidates",),
            help="candidates of a usual request, for which the ranker is rewritten (default 1000)",
            metavar="N",
            more={"type": _count, "default": 1_000},
        ),
    ),
)

if __name__ == "__main__":
    raise SystemExit(main(COMMAND))
