"""The functions that compute features, registered by a decorator."""

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
    """Registers the function that computes the feature of the same name, declared in :mod:`schemas.features`.

    The function gets one user's :class:`Context` and returns one row per target: shape (n,), or (n, width or number of
    parts). A row must depend only on its own target and on the events visible to that target, bitwise.

    Raises:
        ValueError: another registered function has this name.
    """
    name = function.__name__
    if name in _functions:
        raise ValueError(
            f"feature {name} is computed by two functions, in {function.__module__} and"
            f" {_functions[name].__module__}; remove one"
        )
    _functions[name] = function
    return function


@cache
def feature_functions() -> Mapping[str, FeatureFunction]:
    """All registered functions by the feature's name; imports the modules of this package."""
    for module in pkgutil.iter_modules(models.ranker.examples.__path__, "models.ranker.examples."):
        import_module(module.name)
    return _functions
