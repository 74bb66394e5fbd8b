"""SQL views, in a catalog schema or as files of a warehouse folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lake.warehouse import Warehouse

FOLDER = "_views"


def publish_view(
    warehouse: Warehouse, name: str, query: str, *, tables: Iterable[str], versions: Mapping[str, str]
) -> None:
    """Creates or replaces a view: in the catalog schema, or else as SQL text under ``<warehouse>/_views``.

    A view in a catalog schema reads its tables in the given versions. The text under ``_views`` names the tables only;
    who runs it gives the names a meaning, see :func:`bring_into_scope`.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the view.
        query: the query, with ``{table}`` in place of each table's full name.
        tables: names of all tables.
        versions: versions of the published tables, by name; other tables are read in their newest version.
    """
    if warehouse.in_catalog:
        at = {table: f" VERSION AS OF {int(versions[table])}" if table in versions else "" for table in tables}
        sql = query.format_map({table: f"{warehouse.location}.{table}{at[table]}" for table in tables})
        warehouse.spark.sql(f"CREATE OR REPLACE VIEW {warehouse.location}.{name} AS {sql}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FOLDER}/{name}.sql", query.format_map({t: t for t in tables}))


def bring_into_scope(warehouse: Warehouse, tables: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    """Makes all tables and published views available in this session under their short names.

    The names mean the same versions as long as the session lasts, whatever is published meanwhile.

    Args:
        warehouse: the warehouse.
        tables: names of all tables.
        versions: versions of the published tables, by name; other tables are read in their newest version.

    Returns:
        The short names.
    """
    there = [name for name in tables if warehouse.exists(name)]
    for name in there:
        warehouse.read(name, int(versions[name]) if name in versions else None).createOrReplaceTempView(name)
    if warehouse.in_catalog:
        catalog, schema = warehouse.location.split(".")
        warehouse.spark.sql(f"USE {catalog}.{schema}")
        listed = warehouse.spark.sql(f"SHOW TABLES IN {warehouse.location}").where("NOT isTemporary")
        return [row["tableName"] for row in listed.collect()]
    views = warehouse.files_system.list(f"{warehouse.root}/{FOLDER}")
    for file in views:
        query = warehouse.files_system.read_text(file.path)
        warehouse.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW {file.name.removesuffix('.sql')} AS {query}")
    return [*there, *(file.name.removesuffix(".sql") for file in views)]
