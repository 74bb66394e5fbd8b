"""Classes that are found by being there: one file each in a package made for them."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


def classes_in(package: str, path: Iterable[str], base: type[T]) -> dict[str, type[T]]:
    """The classes of a package's modules that derive from a base and have a name, by that name.

    The modules are found through the import system, so in a zip as well.

    Args:
        package: its dotted name.
        path: its ``__path__``.
        base: what the classes derive from; each says its own ``name``.

    Raises:
        ValueError: two classes of one name.
    """
    found: dict[str, type[T]] = {}
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        own = import_module(f"{package}.{module.name}")
        for value in vars(own).values():
            named = inspect.isclass(value) and issubclass(value, base) and "name" in vars(value)
            if not named or value.__module__ != own.__name__:
                continue
            if value.name in found:
                raise ValueError(f"{package}: two classes are called {value.name}")
            found[value.name] = value
    return found
