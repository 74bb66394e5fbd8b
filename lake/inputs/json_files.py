"""Reads JSON, as lines or as an array: every value as the text that the file holds, whatever its type."""

from __future__ import annotations

import codecs
import json
from collections import Counter
from collections.abc import Collection, Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType, VariantType

from lake.inputs.dialect import decoded, encoding_of
from lake.inputs.files import HEAD, InputFile, InputFiles
from lake.inputs.part import MALFORMED, Field, Part, folded
from lake.inputs.text_lines import FILE, LINE, java_name, read_lines, refuse_undecodable
from schemas.contract import sql_name

OBJECT = "_qarm_object"
"""Column of the keys of a row that are looked for, as a STRUCT."""

ALL = "_qarm_all"
"""Column of all objects of an array."""

SAMPLE_LINES = 100


def read_json(spark: SparkSession, files: InputFiles, wanted: Collection[str]) -> tuple[list[Part], list[str]]:
    """Reads JSON files: one object per line, or one array of objects per file.

    Args:
        spark: the session.
        files: the input.
        wanted: keys that are read although no file has them at its beginning.

    Returns:
        The parts, and what was told from the files in words.

    Raises:
        UserError: a file holds neither form, an array is not valid JSON, or bytes are not in the encoding.
    """
    arrays = [file for file in files.files if _begins(files, file).startswith("[")]
    lines = [file for file in files.files if file not in arrays]
    for file in files.files:
        _refuse_other_forms(files, file, is_array=file in arrays)
    parts = []
    if lines:
        parts.append(_part(files, _of_lines(spark, files, lines), lines, wanted))
    if arrays:
        parts.append(_part(files, _of_arrays(spark, files, arrays), arrays, wanted))
    return parts, [*(["JSON lines"] if lines else []), *(["arrays of JSON objects"] if arrays else [])]


def _begins(files: InputFiles, file: InputFile) -> str:
    return decoded(file.head, encoding_of(file.head, files.place.settings.encoding)).lstrip()


def _refuse_other_forms(files: InputFiles, file: InputFile, is_array: bool) -> None:
    if encoding_of(file.head, files.place.settings.encoding).startswith("utf-16"):
        raise files.error("is in UTF-16, which JSON does not allow; convert it to UTF-8", file.path)
    if not is_array and not any(_is_object(line) for line in _begins(files, file).splitlines()[:SAMPLE_LINES]):
        raise files.error("holds neither one JSON object per line nor an array of objects; export it so", file.path)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        # A line may be longer than the beginning that was read.
        return line.startswith('{"') and len(line) > HEAD // 2


def _texts(spark: SparkSession, files: InputFiles, chosen: Sequence[InputFile], whole: bool) -> DataFrame:
    """The lines of files, or their whole texts, in the column LINE."""
    paths, named = [file.path for file in chosen], files.place.settings.encoding
    if named and codecs.lookup(named).name != "utf-8":
        charset = java_name(spark, files, codecs.lookup(named).name)
        return read_lines(spark, files, paths, whole).withColumn(LINE, F.decode(F.col(LINE).cast("binary"), charset))
    if whole or all(file.is_whole for file in chosen):
        refuse_undecodable(spark, files, chosen)
    return read_lines(spark, files, paths, whole)


def _of_lines(spark: SparkSession, files: InputFiles, chosen: Sequence[InputFile]) -> DataFrame:
    return _texts(spark, files, chosen, whole=False).where(F.trim(LINE) != "")


def _of_arrays(spark: SparkSession, files: InputFiles, chosen: Sequence[InputFile]) -> DataFrame:
    """The objects of arrays, each as a text in the column LINE."""
    text = F.regexp_replace(LINE, "^\ufeff", "")
    objects = _texts(spark, files, chosen, whole=True).withColumn(ALL, F.from_json(text, "array<variant>"))
    bad = objects.where(F.col(ALL).isNull()).select(FILE).first()
    if bad is not None:
        raise files.error("is no valid JSON array of objects; is it cut off?", bad[0])
    each = objects.drop(LINE).withColumn(LINE, F.explode(ALL)).drop(ALL)
    return each.withColumn(LINE, F.to_json(LINE))


def _part(files: InputFiles, lines: DataFrame, chosen: Sequence[InputFile], wanted: Collection[str]) -> Part:
    """The part of rows whose objects are texts in the column LINE.

    Keys that are looked for are read as fields, all others only where attributes ask for them. As variants, numbers of
    up to 38 digits are exact; as texts they would be doubles.
    """
    folders = [f.name for f in lines.schema.fields if f.name not in (LINE, FILE)]
    seen = dict.fromkeys(name for file in chosen for name in _keys(_begins(files, file)))
    # Spark finds fields without regard to case: of names that differ in nothing else, none becomes a field.
    spellings, sought = Counter(folded(name) for name in seen), {folded(name) for name in wanted}
    keys = [name for name in seen if folded(name) in sought and spellings[folded(name)] == 1]
    keys += [name for name in dict.fromkeys(wanted) if not spellings[folded(name)]]
    schema = StructType([StructField(name, VariantType()) for name in keys] + [StructField(MALFORMED, StringType())])
    rows = lines.withColumn(OBJECT, F.from_json(LINE, schema, {"columnNameOfCorruptRecord": MALFORMED}))
    # Large files are not looked at in advance: their lines with other bytes than UTF-8 are malformed.
    undecodable = F.when(~F.is_valid_utf8(LINE), F.col(LINE))
    rows = rows.withColumn(MALFORMED, F.coalesce(undecodable, F.col(OBJECT).getField(MALFORMED)))
    held = F.transform_values(F.from_json(LINE, "map<string,variant>"), lambda _, value: value.cast("string"))
    if folders:
        pairs = [x for name in folders for x in (F.lit(name), F.col(sql_name(name)).cast("string"))]
        held = F.map_concat(held, F.create_map(*pairs))
    # As columns of their own, the texts are made once a row, however often an expression names them.
    places = {name: f"_qarm_{n}" for n, name in enumerate(keys)}
    rows = rows.withColumns({place: F.col(OBJECT).getField(name).cast("string") for name, place in places.items()})
    fields = {name: Field(name, F.col(place), StringType(), name in seen) for name, place in places.items()}
    others = [name for name in seen if name not in fields]
    fields |= {name: Field(name, F.try_element_at(held, F.lit(name)), StringType()) for name in others}
    fields |= {name: Field(name, F.col(sql_name(name)).cast("string"), StringType()) for name in folders}
    return Part(rows, tuple(fields.values()), F.col(LINE), chosen[0].path, held)


def _keys(text: str) -> list[str]:
    """The keys of the objects at the beginning of a file, in order."""
    decoder, keys, place = json.JSONDecoder(), dict[str, None](), 0
    while (place := text.find("{", place)) >= 0:
        try:
            value, place = decoder.raw_decode(text, place)
            keys.update(dict.fromkeys(value))
        except ValueError:
            place = text.find("\n", place)
            if place < 0:
                break
    return list(keys)
