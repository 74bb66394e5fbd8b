"""Functions of mine_pairs, from DataFrame to DataFrame."""
