"""Columns of a catalogue that have no place of their own, as a map of attributes."""

from __future__ import annotations

import re
from collections.abc import Collection

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import MapType, StringType, StructType

from lake.inputs.part import Field, Part
from lake.inputs.values import as_text, wrapped

ATTRIBUTES = "attributes"
"""Column whose keys become attributes under their own names."""

INDEX = re.compile(r"__index_level_\d+__|Unnamed: \d+|_c\d+|\s*")
"""Names under which pandas and Spark write the row numbers of a table; they say nothing about an item."""

ENTRIES = "array<struct<key:string,value:string>>"


def attributes_of(part: Part, without: Collection[str]) -> Column:
    """The columns of a part as MAP<STRING,STRING>, without null values.

    The keys of a column ``attributes`` are attributes; a struct, map or JSON object ``maker`` gives ``maker.name``. If
    a key occurs twice, its last value counts, and a column counts before a key of ``attributes``.

    Args:
        part: rows of the catalogue.
        without: names of columns that are no attributes.
    """
    arrays = _of_keys(part, without) if part.held is not None else _of_fields(part, without)
    entries = F.concat(*arrays) if arrays else F.array().cast(ENTRIES)
    known = F.filter(entries, lambda entry: entry["key"].isNotNull() & entry["value"].isNotNull())
    return F.map_from_entries(known)


def _of_fields(part: Part, without: Collection[str]) -> list[Column]:
    fields = [field for field in part.fields if field.name not in without and not INDEX.fullmatch(field.name)]
    fields.sort(key=lambda field: field.name != ATTRIBUTES)
    return [entries for field in fields for entries in _entries(field)]


def _entries(field: Field) -> list[Column]:
    prefix = "" if field.name == ATTRIBUTES else f"{field.name}."
    if isinstance(field.kind, StructType) and wrapped(field.kind) is None:
        inner = [Field(prefix + f.name, field.column.getField(f.name), f.dataType) for f in field.kind.fields]
        return [entries for one in inner for entries in _entries(one)]
    if isinstance(field.kind, MapType):
        values = field.kind.valueType
        entries = F.transform(
            F.map_entries(field.column),
            lambda entry: _entry(F.concat(F.lit(prefix), entry["key"].cast("string")), as_text(entry["value"], values)),
        )
        return [F.coalesce(entries, F.array().cast(ENTRIES))]
    text = as_text(field.column, field.kind)
    if field.name == ATTRIBUTES and isinstance(field.kind, StringType):
        return [_object_or_text(text, F.lit(""), F.lit(field.name))]
    return [F.array(_entry(F.lit(field.name), text))]


def _of_keys(part: Part, without: Collection[str]) -> list[Column]:
    assert part.held is not None
    named = part.held
    if part.renamed:
        new = F.create_map(*(F.lit(name) for pair in part.renamed.items() for name in pair))
        named = F.transform_keys(named, lambda key, _: F.coalesce(F.try_element_at(new, key), key))
    held = F.map_filter(named, lambda key, _: ~key.isin(*without, ""))
    own = F.try_element_at(held, F.lit(ATTRIBUTES))
    others = F.map_entries(F.map_filter(held, lambda key, _: key != ATTRIBUTES))
    each = F.transform(
        others, lambda entry: _object_or_text(entry["value"], F.concat(entry["key"], F.lit(".")), entry["key"])
    )
    return [_object_or_text(own, F.lit(""), F.lit(ATTRIBUTES)), F.flatten(each)]


def _object_or_text(value: Column, prefix: Column, name: Column) -> Column:
    """The entries of a JSON object, or one entry for any other text; a JSON list is joined by commas."""
    inner = F.map_entries(F.from_json(value, "map<string,string>"))
    nested = F.transform(inner, lambda entry: _entry(F.concat(prefix, entry["key"]), _list_or_text(entry["value"])))
    plain = F.array(_entry(name, _list_or_text(value)))
    return F.when(value.startswith("{"), F.coalesce(nested, plain)).otherwise(plain)


def _list_or_text(value: Column) -> Column:
    listed = F.array_join(F.from_json(value, "array<string>"), ", ")
    text = F.trim(F.when(value.startswith("["), F.coalesce(listed, value)).otherwise(value))
    return F.when(text != "", text)


def _entry(key: Column, value: Column) -> Column:
    return F.struct(key.cast("string").alias("key"), value.cast("string").alias("value"))
