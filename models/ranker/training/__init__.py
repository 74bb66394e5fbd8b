"""Training of a ranker, and the metrics it is judged by."""
