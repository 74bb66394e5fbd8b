"""Functions about codes: collisions, neighbours, changes of semantic IDs, and quality."""
