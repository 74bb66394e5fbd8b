"""Quantizes embeddings to semantic IDs, and measures the quality of the codes."""
