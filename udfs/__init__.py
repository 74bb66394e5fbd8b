"""Functions that Spark runs on the executors, from Arrow batches to Arrow batches."""

from udfs.zips import read_directories_once

read_directories_once()
