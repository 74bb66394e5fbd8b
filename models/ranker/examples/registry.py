"""Which function computes which feature: every one under this package that is marked as a feature."""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from numpy.typing import NDArray

import models.ranker.examples
from models.ranker.examples.context import Context

FeatureFunction = Callable[[Context], NDArray[Any]]
_functions: dict[str, FeatureFunction] = {}


def feature(function: FeatureFunction) -> FeatureFunction:
    """Marks a function as what computes the feature of its name, declared in :mod:`schemas.features`.

    It is given one user's :class:`Context`, and returns a row a target: shape (n,), or (n, width or parts). A row may
    depend on its own target and the events visible to it alone, to the bit.

    Raises:
        ValueError: another function has this name.
    """
    name = function.__name__
    if name in _functions:
        raise ValueError(f"feature {name} is computed by two functions, in {_functions[name].__module__} too")
    _functions[name] = function
    return function


@cache
def feature_functions() -> Mapping[str, FeatureFunction]:
    """All of them, by the feature's name; looks through this package's modules."""
    for module in pkgutil.iter_modules(models.ranker.examples.__path__, "models.ranker.examples."):
        import_module(module.name)
    return _functions
