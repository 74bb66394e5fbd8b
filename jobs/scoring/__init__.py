"""Functions of the jobs that score candidates with the ranker."""
