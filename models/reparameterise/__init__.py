"""MaRI: the same scores from fewer multiplications, for any ranker written in torch (arXiv 2602.23105)."""
