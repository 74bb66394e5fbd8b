"""Plug-in classes: a package holds one file per class, and every class in it is found by its name."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable
from importlib import import_module
from typing import TypeVar

T = TypeVar("T")


def classes_in(package: str, path: Iterable[str], base: type[T]) -> dict[str, type[T]]:
    """Finds the classes in a package's modules that derive from a base class and define ``name``.

    The modules are found through the import system, so this also works in a zip file.

    Args:
        package: dotted name of the package.
        path: ``__path__`` of the package.
        base: base class of the classes to find.

    Returns:
        The classes by their ``name``.

    Raises:
        ValueError: two classes have the same name.
    """
    found: dict[str, type[T]] = {}
    for module in sorted(pkgutil.iter_modules(path), key=lambda module: module.name):
        own = import_module(f"{package}.{module.name}")
        for value in vars(own).values():
            named = inspect.isclass(value) and issubclass(value, base) and "name" in vars(value)
            if not named or value.__module__ != own.__name__:
                continue
            if value.name in found:
                raise ValueError(f"{package}: two classes have the name {value.name}; rename one of them")
            found[value.name] = value
    return found
