from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from lake.hadoop import HadoopFiles
from lake.local_copies import local_copies
from models.feed.feed import Feed
from models.feed.file_systems import reads_in_place


def written(spark: SparkSession) -> list[str]:
    """Files on a file system that Petastorm does not know, with a character in their path that URLs escape."""
    rows = spark.range(20).withColumnRenamed("id", "number")
    rows.repartition(2, "number").write.mode("overwrite").parquet("viewfs://test/data/a copy")
    return sorted(spark.read.parquet("viewfs://test/data/a copy").inputFiles())


def test_files_that_petastorm_cannot_read_are_copied_once_and_removed(spark: SparkSession) -> None:
    urls = written(spark)
    assert len(urls) == 2
    assert urls[0].startswith("viewfs:")
    with local_copies(HadoopFiles(spark), reads_in_place) as copies:
        here = copies(urls)
        assert copies(urls[::-1]) == here[::-1]
        folder = Path(here[0].removeprefix("file:"))
        assert len([*folder.parent.glob("*.parquet")]) == 2
        assert [pq.read_table(a.removeprefix("file://")).num_rows for a in here] == [
            spark.read.parquet(unquote(b)).count() for b in urls
        ]
        feed = Feed(here, ["number"], batch_size=7, shuffle_rows=0, seed=0)
        assert sorted(n for batch in feed.epoch(0) for n in batch["number"].tolist()) == [*range(20)]
    assert not folder.parent.exists()


def test_files_that_petastorm_can_read_stay_where_they_are(spark: SparkSession, tmp_path: Path) -> None:
    spark.range(5).write.parquet(str(tmp_path / "rows"))
    urls = spark.read.parquet(str(tmp_path / "rows")).inputFiles()
    with local_copies(HadoopFiles(spark), reads_in_place) as copies:
        assert copies(urls) == urls
        assert copies([]) == []
