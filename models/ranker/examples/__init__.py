"""Ranking examples: a user's history searched and counted for every target (numpy, numba)."""
