"""What mine_pairs is made of: transforms from DataFrame to DataFrame."""
