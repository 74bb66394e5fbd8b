"""Ids, times, weights and texts, from columns of any type: as their owner would write them, or null."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    MapType,
    NullType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

EXACT = 2.0**53
"""Whole numbers from here on are not all distinct as doubles: two ids may have become one."""

A_TIME = r"^\d{4}-\d{1,2}-\d{1,2}([ T]\d{1,2}:\d{1,2}(:\d{1,2}([.,]\d*)?)?\s*([zZ]|UTC|GMT|[+-]\d{1,2}(:?\d{2})?)?)?$"
"""A date, or a date and a time with or without a zone. A year or a time of day alone is no time of an event."""

A_NUMBER = r"^[+-]?\d+([.]\d*)?([eE][+]?\d+)?$"

WRAPPERS = ("$oid", "$date", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid")
"""Keys of MongoDB's extended JSON, which stand for the type of the value."""

EXTENDED = r'^\{\s*"\$\w+"\s*:\s*(?:\{\s*"\$\w+"\s*:\s*)?"?([^"{}]*)"?\s*\}+$'
"""A text in MongoDB's extended JSON, with the value as its group; ``$date`` may hold a ``$numberLong``."""

PRINTABLE = r"^[^\x00-\x1f\x7f]*$"

ID_TYPES = (StringType, IntegralType, DecimalType, DoubleType, FloatType, BinaryType, DateType, NullType)
TIME_TYPES = (TimestampType, TimestampNTZType, DateType, IntegralType, DecimalType, DoubleType, FloatType, StringType)


def wrapped(kind: DataType) -> str | None:
    """The name of the field that holds the value, if a type is MongoDB's extended JSON; else None."""
    if isinstance(kind, StructType) and len(kind.fields) == 1 and kind.names[0] in WRAPPERS:
        return str(kind.names[0])
    return None


def is_id(kind: DataType) -> bool:
    """Whether values of a type can be ids."""
    return wrapped(kind) is not None or isinstance(kind, ID_TYPES)


def is_time(kind: DataType) -> bool:
    """Whether values of a type can be times."""
    return wrapped(kind) is not None or isinstance(kind, (*TIME_TYPES, NullType))


def as_id(column: Column, kind: DataType) -> Column:
    """Converts an id to text; null for a blank text and for NaN.

    A whole number has no decimal point, whatever its type; sixteen bytes that are no text are a UUID.

    Args:
        column: the ids.
        kind: their type, one that :func:`is_id` accepts.
    """
    if (field := wrapped(kind)) is not None and isinstance(kind, StructType):
        return as_id(column[field], kind[field].dataType)
    if isinstance(kind, (DoubleType, FloatType)):
        return _float_id(column.cast("double"))
    if isinstance(kind, BinaryType):
        return _binary_id(column)
    if isinstance(kind, DecimalType):
        return _plain_decimal(column, kind)
    text = _unwrapped(F.trim(column.cast("string")))
    return F.when(text != "", text)


def lossy_id(column: Column, kind: DataType) -> Column:
    """Whether an id is too large for the float that holds it, so that it may be another id's rounded value."""
    if isinstance(kind, (DoubleType, FloatType)):
        limit = EXACT if isinstance(kind, DoubleType) else 2.0**24
        size = F.abs(column.cast("double"))
        return F.coalesce((size >= limit) & ~F.isnan(size), F.lit(False))
    return F.lit(False)


def _float_id(number: Column) -> Column:
    whole = number == F.floor(number)
    return F.when(whole & (F.abs(number) < 1e18), number.try_cast("long").cast("string")).when(
        ~F.isnan(number) & (F.abs(number) != float("inf")), number.cast("string")
    )


def _plain_decimal(number: Column, kind: DecimalType) -> Column:
    text = number.cast("string")
    if kind.scale <= 0:
        return text
    whole = number.try_cast(f"decimal({kind.precision - kind.scale or 1},0)")
    return F.when(whole == number, whole.cast("string")).otherwise(F.regexp_replace(text, r"0+$", ""))


def _binary_id(data: Column) -> Column:
    text = F.when(F.is_valid_utf8(data.cast("string")), F.trim(data.cast("string")))
    digits = F.lower(F.hex(data))
    uuid = F.concat_ws("-", *(F.substring(digits, start, size) for start, size in _UUID_PARTS))
    return (
        F.when(F.octet_length(data) == 0, None)
        .when(text.rlike(PRINTABLE), F.when(text != "", text))
        .when(F.octet_length(data) == 16, uuid)
        .otherwise(digits)
    )


_UUID_PARTS = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))


def _unwrapped(text: Column) -> Column:
    """The value within MongoDB's extended JSON, e.g. ``{"$oid": "66f0…"}``; other texts stay as they are."""
    return F.when(F.startswith(text, F.lit("{")), F.regexp_replace(text, EXTENDED, "$1")).otherwise(text)


def as_time(column: Column, kind: DataType, pattern: str = "") -> Column:
    """Converts a timestamp, date, text with a date, or number since 1970 to TIMESTAMP; null for any other value.

    Args:
        column: the times; those without a zone are UTC.
        kind: their type, one that :func:`is_time` accepts.
        pattern: Spark's pattern of a text, e.g. ``dd/MM/yyyy HH:mm``; "" for ISO 8601 or a number.
    """
    if (field := wrapped(kind)) is not None and isinstance(kind, StructType):
        return as_time(column[field], kind[field].dataType, pattern)
    if isinstance(kind, (TimestampType, TimestampNTZType, DateType)):
        return column.cast("timestamp")
    if isinstance(kind, IntegralType):
        return _since_1970(column.cast("decimal(38,9)"))
    if isinstance(kind, (DoubleType, FloatType, DecimalType)):
        return _since_1970(column.try_cast("decimal(38,9)"))
    text = _unwrapped(F.trim(column.cast("string")))
    if pattern:
        return F.try_to_timestamp(text, F.lit(pattern))
    odd = F.contains(text, F.lit(",")) | F.endswith(text, F.lit("UTC")) | F.endswith(text, F.lit("GMT"))
    iso = F.when(odd, F.regexp_replace(F.translate(text, ",", "."), r"\s*(UTC|GMT)$", "Z")).otherwise(text)
    return F.when(text.rlike(A_TIME), iso.try_cast("timestamp")).when(
        text.rlike(A_NUMBER), _since_1970(text.try_cast("decimal(38,9)"))
    )


def _since_1970(number: Column) -> Column:
    """Converts seconds, milli-, micro- or nanoseconds to TIMESTAMP; the size of the number tells the unit."""
    size = F.abs(number)
    micros = (
        F.when(size < 10**11, number * 1_000_000)
        .when(size < 10**14, number * 1_000)
        .when(size < 10**17, number)
        .otherwise(F.floor(number / 1_000))
    )
    return F.timestamp_micros(micros.try_cast("long"))


def as_weight(column: Column, kind: DataType) -> Column:
    """Converts a weight to DOUBLE; null if it is no number."""
    if isinstance(kind, (StringType, IntegralType, DecimalType, DoubleType, FloatType)):
        return column.try_cast("double")
    return F.lit(None).cast("double")


def as_text(column: Column, kind: DataType) -> Column:
    """Converts a value to text; null for a blank text and for bytes that are no text.

    Lists are joined by commas, and nested values become JSON.
    """
    if isinstance(kind, (DoubleType, FloatType)):
        whole = (column == F.floor(column)) & (F.abs(column) < EXACT) & (F.abs(column) >= 1e7)
        text = F.when(whole, column.try_cast("long").cast("string")).otherwise(column.cast("string"))
    elif isinstance(kind, BinaryType):
        decoded = column.cast("string")
        text = F.when(F.is_valid_utf8(decoded), decoded)
    elif isinstance(kind, ArrayType) and not isinstance(kind.elementType, (ArrayType, MapType, StructType)):
        inner = kind.elementType
        text = F.array_join(F.transform(column, lambda value: as_text(value, inner)), ", ")
    elif isinstance(kind, (ArrayType, MapType, StructType)):
        text = F.to_json(column)
    else:
        text = column.cast("string")
    text = F.trim(text)
    return F.when(text != "", text)
