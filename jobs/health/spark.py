"""Whether Spark runs, its executors have what they need, and Delta writes and reads."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec

from lake.health import Finding
from lake.lake import Lake

OTHER_PYTHON = re.compile(r"\[PYTHON_VERSION_MISMATCH\]\D*(\d+(?:\.\d+)*)")
"""What PySpark says where the executors' Python is another one than the driver's, with the version of theirs."""

LIBRARIES = ("pyarrow", "pandas", "numpy", "torch", "transformers", "faiss", "numba")
"""What Python on the executors needs."""


def session(lake: Lake) -> Finding:
    """The version and the master of Spark."""
    context = lake.spark.sparkContext
    return Finding("Spark", f"{lake.spark.version}, {context.master}, {context.defaultParallelism} cores")


def executors(lake: Lake) -> Finding:
    """The executors' Python is the driver's, and has the libraries."""

    def look(_: Iterable[int]) -> Iterator[str]:
        yield from (name for name in LIBRARIES if find_spec(name) is None)

    context = lake.spark.sparkContext
    tasks = context.defaultParallelism
    here = ".".join(map(str, sys.version_info[:2]))
    try:
        missing = sorted(set(context.parallelize(range(tasks), tasks).mapPartitions(look).collect()))
    except Exception as error:  # PySpark's workers refuse to begin
        if (other := OTHER_PYTHON.search(str(error))) is None:
            raise
        says = f"their Python is {other.group(1)}, the driver's {here}"
        return Finding("executors", says, "set spark.pyspark.python to the same Python on every host (docs/cluster.md)")
    if missing:
        mend = "install qarm's packages on every host, or ship an environment (docs/cluster.md)"
        return Finding("executors", f"their Python has no {', '.join(missing)}", mend)
    return Finding("executors", f"Python {here} with {', '.join(LIBRARIES)}")


def delta(lake: Lake) -> Finding:
    """A Delta table can be written beside the tables of the warehouse, and read."""
    folder = lake.files.probe_folder(lake.warehouse.root)
    try:
        lake.spark.range(3).write.format("delta").save(folder)
        count = lake.spark.read.format("delta").load(folder).count()
    finally:
        lake.files.delete(folder)
    return Finding("Delta's jars", f"a table of {count} rows was written and read")
