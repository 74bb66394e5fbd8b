"""The options that name the two inputs: of ingest, and of init, which looks at them first."""

from __future__ import annotations

from lake.declaration import Option
from lake.inputs.options import format_option, rename_option

INPUT_OPTIONS = (
    Option(
        flags=("--interactions",), help="path of the interaction log", metavar="PATH", setting="ingest.interactions"
    ),
    Option(flags=("--items",), help="path of the item table", metavar="PATH", setting="ingest.items"),
    format_option("--format", "ingest.format", "both inputs"),
    format_option("--interactions-format", "ingest.interactions_files.format", "the log"),
    format_option("--items-format", "ingest.items_files.format", "the item table"),
    rename_option("ingest"),
)
