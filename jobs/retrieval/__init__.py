"""Functions of retrieve."""
