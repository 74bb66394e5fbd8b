"""Tables and views by name, in a catalog schema or in a session over a folder."""

from __future__ import annotations

from collections.abc import Iterable

from lake.warehouse import Warehouse

FOLDER = "_views"


def publish_view(warehouse: Warehouse, name: str, query: str, tables: Iterable[str]) -> None:
    """Makes a view: in the catalog schema, or as SQL text under ``<warehouse>/_views`` where there is no catalog.

    Args:
        warehouse: where the tables are.
        name: of the view.
        query: with ``{table}`` for each table.
        tables: all table names.
    """
    if warehouse.in_catalog:
        sql = query.format_map({table: f"{warehouse.location}.{table}" for table in tables})
        warehouse.spark.sql(f"CREATE OR REPLACE VIEW {warehouse.location}.{name} AS {sql}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FOLDER}/{name}.sql", query.format_map({t: t for t in tables}))
    warehouse.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {name} AS {resolved(warehouse, query, tables)}")


def resolved(warehouse: Warehouse, query: str, tables: Iterable[str]) -> str:
    """A view's query with the tables' full names."""
    return query.format_map({table: warehouse.identifier(table) for table in tables})


def bring_into_scope(warehouse: Warehouse, tables: Iterable[str]) -> list[str]:
    """Makes every table and published view known by its bare name in this session.

    Returns:
        The names.
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
