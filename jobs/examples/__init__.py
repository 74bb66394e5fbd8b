"""Functions that make ranking examples, used by build_examples and score."""
