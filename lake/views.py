"""SQL views and functions of a published night, in a catalog schema or as files of a warehouse folder."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from pyspark.errors import AnalysisException

from lake.warehouse import Warehouse
from schemas.contract import sql_literal

log = logging.getLogger("qarm")

FOLDER = "_views"
FUNCTIONS = "_functions"
FOLDERS = (FOLDER, FUNCTIONS)


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

    A view that the catalog refuses, e.g. because no job has written one of its tables yet, is left out, and the log
    says so.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the view.
        query: the query, with tables named as :func:`full_names` says.
        comment: what one row of the view is.
    """
    if warehouse.in_catalog:
        about = f"COMMENT {sql_literal(comment)}" if comment else ""
        with _left_out_if_refused(f"view {name}"):
            warehouse.spark.sql(f"CREATE OR REPLACE VIEW {warehouse.location}.{name} {about} AS {query}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FOLDER}/{name}.sql", query)


def publish_function(warehouse: Warehouse, name: str, definition: str) -> None:
    """Creates or replaces a SQL function: in the catalog schema, or else as text under ``<warehouse>/_functions``.

    A function that the catalog refuses is left out, and the log says so: for each one, where it keeps no SQL functions.

    Args:
        warehouse: the warehouse of the tables.
        name: name of the function.
        definition: what follows the name in CREATE FUNCTION, with tables named as :func:`full_names` says.
    """
    if warehouse.in_catalog:
        with _left_out_if_refused(f"function {name}"):
            warehouse.spark.sql(f"CREATE OR REPLACE FUNCTION {warehouse.location}.{name} {definition}")
        return
    warehouse.files_system.write_text(f"{warehouse.root}/{FUNCTIONS}/{name}.sql", definition)


def bring_into_scope(warehouse: Warehouse, tables: Iterable[str], versions: Mapping[str, str]) -> list[str]:
    """Makes tables, published views and functions available in this session under their short names.

    The names mean the same versions as long as the session lasts, whatever is published meanwhile. A view or function
    of a folder that Spark refuses, e.g. because one of its tables is not there, is left out, and the log says so; one
    of that name which an earlier call made goes too.

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
    views = _create(warehouse, FOLDER, "VIEW", " AS ")
    _create(warehouse, FUNCTIONS, "FUNCTION", " ")
    return [*there, *views]


def _create(warehouse: Warehouse, folder: str, what: str, link: str) -> list[str]:
    """Creates what the files of a folder define, and returns the names."""
    made = []
    for file in warehouse.files_system.list(f"{warehouse.root}/{folder}"):
        name = file.name.removesuffix(".sql")
        text = warehouse.files_system.read_text(file.path)
        with _left_out_if_refused(f"{what.lower()} {name}"):
            warehouse.spark.sql(f"CREATE OR REPLACE TEMPORARY {what} {name}{link}{text}")
            made.append(name)
            continue
        if what == "VIEW":
            warehouse.spark.catalog.dropTempView(name)
        else:
            warehouse.spark.sql(f"DROP TEMPORARY FUNCTION IF EXISTS {name}")
    return made


@contextmanager
def _left_out_if_refused(what: str) -> Iterator[None]:
    """Logs that Spark refuses a view or function, and goes on, so that the others stay."""
    try:
        yield
    except AnalysisException as error:
        log.warning("%s is left out: %s", what, str(error).splitlines()[0])
