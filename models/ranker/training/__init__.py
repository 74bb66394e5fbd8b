"""Training of a ranker, and its metrics."""
