"""Transforms of the ranking examples."""
