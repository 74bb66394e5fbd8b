"""Checks of rows against the contract of their table, before they are written."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import _parse_datatype_string

from schemas.contract import Contract
from schemas.errors import ContractError


def conform(rows: DataFrame, contract: Contract) -> DataFrame:
    """Selects the columns of a contract, in stored order.

    Raises:
        ContractError: a column is missing or has another type.
    """
    types, complaints = _types(rows), []
    for name, expected in _contract_types(contract).items():
        given = types.get(name)
        if given is None:
            complaints.append(f"{name} is missing")
        elif given != expected:
            complaints.append(f"{name} is {given}, not {expected}")
    if complaints:
        raise ContractError(f"table {contract.name}: " + "; ".join(complaints))
    return rows.select(*contract.names)


def _types(rows: DataFrame) -> dict[str, str]:
    return {field.name: field.dataType.simpleString() for field in rows.schema.fields}


def same_columns(rows: DataFrame, contract: Contract) -> bool:
    """Whether rows have exactly the columns of a contract, in stored order and with its types."""
    return list(_types(rows).items()) == list(_contract_types(contract).items())


def _contract_types(contract: Contract) -> dict[str, str]:
    return {c.name: _parse_datatype_string(c.type).simpleString() for c in contract.columns}


def assert_unique(rows: DataFrame, contract: Contract) -> None:
    """Checks that no two rows have the same key.

    Executor memory: that of Spark's aggregations, which spill.

    Raises:
        ContractError: two rows have the same key; the message holds it.
    """
    if not contract.key:
        return
    # Only 8-byte hashes are shuffled; the keys themselves are compared only if two hashes are equal.
    if rows.groupBy(F.xxhash64(*contract.key).alias("hash")).count().where("count > 1").isEmpty():
        return
    twice = rows.groupBy(*contract.key).count().where("count > 1").limit(1).collect()
    if twice:
        key = ", ".join(f"{name}={twice[0][name]}" for name in contract.key)
        raise ContractError(f"table {contract.name}: {twice[0]['count']} rows have the key {key}")
