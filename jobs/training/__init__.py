"""Functions that are shared by the jobs that train models."""
