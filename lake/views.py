"""SQL views and functions of a published night, in a catalog schema or as files of a warehouse folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from pyspark.errors import AnalysisException

from lake.warehouse import Warehouse
from schemas.contract import sql_literal

log = logging.getLogger("qarm")

FOLDER = "_views"
FUNCTIONS = "_functions"
FOLDERS = (FOLDER, FUNCTIONS)
NOT_THERE = "TABLE_OR_VIEW_NOT_FOUND"


def full_names(
    warehouse: Warehouse, *, tables: Iterable[str], views: Iterable[str], versions: Mapping[str, str]
) -> dict[str, str]:
    """How queries of views and functions name tables and views.

    In a catalog schema a table is named with its version. In a folder the short names stay; who runs the query gives
    them a meaning, see :func:`bring_into_scope`.

    Args:
        warehouse: the warehouse of the tables.
        tables: names of all tables.
        views: names of the views.
        versions: versions of the published tables, by name; other tables are read in their newest version.
    """
    if not warehouse.in_catalog:
        return {name: name for name in (*tables, *views)}
    at = {table: f" VERSION AS OF {int(versions[table])}" if table in versions else "" for table in tables}
    named = {table: f"{warehouse.location}.{table}{at[table]}" for table in tables}
    return named | {view: f"{warehouse.location}.{view}" for view in views}


def publish_view(warehouse: Warehouse, name: str, query: str, *, comment: str = "") -> None:
    """Creates or replaces a view: in the catalog schema, or else as SQL text under ``<warehouse>/_views``.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the view.
        query: the query, with tables named as :func:`full_names` says.
        comment: what one row of the view is.
    """
    if warehouse.in_catalog:
        about = f"COMMENT {sql_literal(comment)}" if comment else ""
        warehouse.spark.sql(f"CREATE OR REPLACE VIEW {warehouse.location}.{name} {about} AS {query}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FOLDER}/{name}.sql", query)


def publish_function(warehouse: Warehouse, name: str, definition: str) -> None:
    """Creates or replaces a SQL function: in the catalog schema, or else as text under ``<warehouse>/_functions``.

    Where the catalog keeps no SQL functions, the log says so for each one.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the function.
        definition: what follows the name in CREATE FUNCTION, with tables named as :func:`full_names` says.
    """
    if warehouse.in_catalog:
        try:
            warehouse.spark.sql(f"CREATE OR REPLACE FUNCTION {warehouse.location}.{name} {definition}")
        except AnalysisException as error:
            log.warning("publish_views: no SQL function %s in the catalog: %s", name, str(error).splitlines()[0])
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FUNCTIONS}/{name}.sql", definition)


def bring_into_scope(warehouse: Warehouse, tables: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    """Makes tables, published views and functions available in this session under their short names.

    The names mean the same versions as long as the session lasts, whatever is published meanwhile. Views and functions
    of a folder that read a table which is not there are left out.

    Args:
        warehouse: the warehouse.
        tables: names of all tables.
        versions: versions of the published tables, by name; other tables are read in their newest version.

    Returns:
        The short names of tables and views.
    """
    there = [name for name in tables if warehouse.exists(name)]
    for name in there:
        warehouse.read(name, int(versions[name]) if name in versions else None).createOrReplaceTempView(name)
    if warehouse.in_catalog:
        catalog, schema = warehouse.location.split(".")
        warehouse.spark.sql(f"USE {catalog}.{schema}")
        listed = warehouse.spark.sql(f"SHOW TABLES IN {warehouse.location}").where("NOT isTemporary")
        return [row["tableName"] for row in listed.collect()]
    views = _create(warehouse, FOLDER, "TEMPORARY VIEW {name} AS {text}")
    _create(warehouse, FUNCTIONS, "TEMPORARY FUNCTION {name} {text}")
    return [*there, *views]


def _create(warehouse: Warehouse, folder: str, what: str) -> list[str]:
    """Creates what the files of a folder define, and returns the names."""
    made = []
    for file in warehouse.files_system.list(f"{warehouse.root}/{folder}"):
        name = file.name.removesuffix(".sql")
        text = warehouse.files_system.read_text(file.path)
        try:
            warehouse.spark.sql(f"CREATE OR REPLACE {what.format(name=name, text=text)}")
            made.append(name)
        except AnalysisException as error:
            if error.getCondition() != NOT_THERE:
                raise
    return made
