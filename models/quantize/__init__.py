"""Embeddings to semantic IDs, and how good the codes are."""
