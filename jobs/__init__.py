"""One file, one spark-submit entry, one verb."""
