"""Rules: how an operator is pushed through a tensor whose parts belong to several stages, a file for each family."""

from models.reparameterise.rules import arrangement, attention, entrywise, norms, products, sums  # noqa: F401
