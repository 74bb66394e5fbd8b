"""What ingest does with the rows of its two inputs."""
