"""Facts about lines are the same whether the driver or Spark finds them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from lake.hadoop import HadoopFiles
from lake.inputs.files import HEAD, Place, find_files
from lake.inputs.text_lines import line_facts
from schemas.settings import load_settings

TEXTS = {
    "plain": b"a,b\n1,2\n",
    "open quote": b'a,b\n1,"two\nlines"\n',
    "escaped": b'a,b\n1,"Pipe 12\\", steel"\n2,"x"\n',
    "latin-1": "a,b\n1,é\n2,è\n".encode("latin-1"),
    "carriage returns": b'a,b\r\n1,"x\r\ny"\r\n',
    "no last line break": b'a,b\n1,"x',
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_facts_do_not_depend_on_the_size_of_a_file(text: bytes, spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(text)
    settings = load_settings().ingest.interactions_files
    place = Place(
        option="--interactions", path=str(path), form="", form_option="--format", settings=settings, section="ingest"
    )
    files = find_files(HadoopFiles(spark), place)
    small = line_facts(spark, files, files.files, '"')
    as_if_large = [replace(file, head=b"x" * HEAD) for file in files.files]
    large = line_facts(spark, files, as_if_large, '"')
    assert (small.in_doubt, small.open_lines) == (large.in_doubt, large.open_lines)
    assert (small.undecodable or ("", 0))[1] == (large.undecodable or ("", 0))[1]
