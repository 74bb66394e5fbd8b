"""Prints the list that the demo made for one household: ten products in words, each with its reason.

    python -m demo.household --warehouse warehouse [--household ID]

Without an id, it is the household with the most purchases. The tables are read without Spark, in the versions of the
published night.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import deltalake
import pandas as pd

TEXT = ("brand", "package_size")
"""Attributes that are said beside a product's title."""


def published(warehouse: Path, table: str) -> pd.DataFrame:
    """A table of the published night.

    Raises:
        SystemExit: there is no published night, or it has no such table.
    """
    pointer = warehouse / "published.json"
    if not pointer.is_file():
        raise SystemExit(f"{pointer} is missing; run make demo first")
    tables = json.loads(pointer.read_text(encoding="utf-8"))["tables"]
    if table not in tables:
        raise SystemExit(f"the published night has no table {table}; run nightly with recommend.on=true")
    return deltalake.DeltaTable(str(warehouse / table), version=int(tables[table]["version"])).to_pandas()


def in_words(item: pd.Series) -> str:
    """A product's title, with its brand and size where it has them."""
    attributes = dict(item["attributes"] or [])
    told = [attributes[name].strip() for name in TEXT if attributes.get(name, "").strip()]
    return item["title"].strip().lower() + (f" ({', '.join(told)})" if told else "")


def lines_of(listed: pd.DataFrame, items: pd.DataFrame, household: str) -> list[str]:
    """The list of one household, a line a product.

    Args:
        listed: table ``recommendations``.
        items: table ``items``.
        household: id of the household.

    Raises:
        SystemExit: the household has no list.
    """
    own = listed[listed["user_id"] == household].sort_values("rank")
    if own.empty:
        raise SystemExit(f"--household {household}: it has no list; ids are those of the table recommendations")
    told = items.set_index("item_id").loc[own["item_id"]].apply(in_words, axis=1)
    width = max(map(len, told))
    rows = zip(own["rank"], told, own["reason"], strict=True)
    return [f"  {rank:>2}. {text:<{width}}  {reason}" for rank, text, reason in rows]


def main() -> int:
    """Prints the list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--warehouse", type=Path, required=True)
    parser.add_argument("--household")
    options = parser.parse_args()
    listed, items = (published(options.warehouse, name) for name in ("recommendations", "items"))
    log = published(options.warehouse, "interactions")
    household = options.household or str(log["user_id"].value_counts().sort_index(ascending=False).idxmax())
    lines = lines_of(listed, items, household)
    print(f"What household {household} is shown next:", *lines, sep="\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
