"""Spark session, Delta tables, versioned model files, the record of runs."""
