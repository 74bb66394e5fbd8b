"""Writes docs/tables.md from the contracts:  python -m schemas.docs > docs/tables.md."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.contract import Contract
from schemas.functions import FUNCTIONS, SqlFunction
from schemas.tables import all_contracts
from schemas.views import VIEWS


def tables_page() -> str:
    """The text of docs/tables.md, with ``<task>`` in place of the tasks' names."""
    lines = [
        "# Tables",
        "",
        "Written from the contracts by `python -m schemas.docs > docs/tables.md`; the same comments are stored in",
        "the tables. `<task>` is the name of a task of `ranking.tasks`. Ids are STRING, times TIMESTAMP in UTC. Delta",
        "enforces `NOT NULL` and the constraints at every write, also of other programs.",
    ]
    for contract in all_contracts(["<task>"]):
        lines += _section(contract)
    lines += ["", "## Views", ""]
    lines += [f"- `{name}`: {view.comment}." for name, view in VIEWS.items()]
    lines += ["", "## Functions", ""]
    lines += ["Functions of SQL, with parameters and their defaults. [sql.md](sql.md) says how to open a session, and"]
    lines += ["which further functions run the language model."]
    for name, function in FUNCTIONS.items():
        lines += _function(name, function)
    return "\n".join(lines) + "\n"


def _section(contract: Contract) -> Iterator[str]:
    yield from ("", f"## {contract.name}", "", f"{contract.comment}.")
    if contract.key:
        yield from ("", f"Key: {', '.join(f'`{name}`' for name in contract.key)}.")
    if contract.partition_by:
        yield from ("", f"Partitioned by {', '.join(f'`{name}`' for name in contract.partition_by)}.")
    yield from ("", "| column | type | |", "|---|---|---|")
    for column in contract.columns:
        nullable = "" if column.nullable else " NOT NULL"
        kind = "STRUCT" if column.parts else column.type
        yield f"| `{column.name}` | {kind}{nullable} | {column.comment} |"
        yield from (f"| `{column.name}.{part.name}` | {part.type} | {part.comment} |" for part in column.parts)
    for name, condition in contract.checks.items():
        yield from ("", f"Constraint `{name}`: `{condition}`")


def _function(name: str, function: SqlFunction) -> Iterator[str]:
    yield from ("", f"### {name}({function.parameters})", "", f"{function.comment}.")
    if isinstance(function.returns, str):
        yield from ("", f"Returns {function.returns}.")
    else:
        yield from ("", "| column | type | |", "|---|---|---|")
        yield from (f"| `{c.name}` | {c.type} | {c.comment} |" for c in function.returns)


if __name__ == "__main__":
    print(tables_page(), end="")
