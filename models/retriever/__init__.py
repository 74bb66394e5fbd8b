"""Generative retrieval: a decoder writes the semantic IDs that a user takes next (OneMall, arXiv 2601.21770)."""
