"""Semantic IDs from a language model that knows the business, made by Spark, kept in Delta, proven by a ranker."""

__version__ = "0.5.0"
