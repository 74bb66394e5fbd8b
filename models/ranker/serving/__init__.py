"""Scoring many candidates of one user, with what is the user's computed once."""
