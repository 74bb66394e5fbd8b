"""Functions that Spark runs on the executors, from Arrow batches to Arrow batches."""
