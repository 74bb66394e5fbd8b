"""The GSU/ESU ranker, its search, its training and its metrics."""
