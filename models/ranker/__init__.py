"""The GSU/ESU ranker: its examples, network, training, serving and baselines."""
