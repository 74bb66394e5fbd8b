"""Ranking examples: for every target, a search of the user's history and features of it (numpy and numba)."""
