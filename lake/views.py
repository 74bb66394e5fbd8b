"""SQL views, in a catalog schema or as files of a warehouse folder."""

from __future__ import annotations

from collections.abc import Iterable

from lake.warehouse import Warehouse

FOLDER = "_views"


def publish_view(warehouse: Warehouse, name: str, query: str, tables: Iterable[str]) -> None:
    """Creates or replaces a view: in the catalog schema, or else as SQL text under ``<warehouse>/_views``.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the view.
        query: the query, with ``{table}`` in place of each table's full name.
        tables: names of all tables.
    """
    if warehouse.in_catalog:
        sql = query.format_map({table: f"{warehouse.location}.{table}" for table in tables})
        warehouse.spark.sql(f"CREATE OR REPLACE VIEW {warehouse.location}.{name} AS {sql}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FOLDER}/{name}.sql", query.format_map({t: t for t in tables}))
    warehouse.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {resolved(warehouse, query, tables)}")


def resolved(warehouse: Warehouse, query: str, tables: Iterable[str]) -> str:
    """The query of a view with the full names of its tables."""
    return query.format_map({table: warehouse.identifier(table) for table in tables})


def bring_into_scope(warehouse: Warehouse, tables: Iterable[str]) -> list[str]:
    """Makes all tables and published views available in this session under their short names.

    Returns:
        The short names.
    """
    if warehouse.in_catalog:
        catalog, schema = warehouse.location.split(".")
        warehouse.spark.sql(f"USE {catalog}.{schema}")
        return [table.name for table in warehouse.spark.catalog.listTables(warehouse.location)]
    there = [name for name in tables if warehouse.exists(name)]
    for name in there:
        warehouse.read(name).createOrReplaceTempView(name)
    views = warehouse.files_system.list(f"{warehouse.root}/{FOLDER}")
    for file in views:
        query = warehouse.files_system.read_text(file.path)
        warehouse.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {file.name.removesuffix('.sql')} AS {query}")
    return [*there, *(file.name.removesuffix(".sql") for file in views)]
