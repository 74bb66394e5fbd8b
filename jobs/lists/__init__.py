"""Functions of recommend."""
