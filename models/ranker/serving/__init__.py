"""Scoring many candidates of one user; everything that depends only on the user is computed once."""
