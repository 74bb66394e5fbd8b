"""The Spark session, Delta tables, versioned artifacts, and the declaration and record of jobs."""
