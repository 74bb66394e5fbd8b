"""From a section of the settings to the parameter class that a model is given."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar

Parameters = TypeVar("Parameters")


def take(cls: type[Parameters], section: object, **given: Any) -> Parameters:
    """Fills a dataclass by the names of its fields.

    Args:
        cls: the dataclass.
        section: of the settings; its value counts where a field has its name.
        given: values by field; they win over the section's.

    Raises:
        TypeError: a field has neither a value nor a default, or a given name is no field.
    """
    values = dict(given)
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in given:
            continue
        if hasattr(section, field.name):
            values[field.name] = getattr(section, field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise TypeError(f"{cls.__name__}.{field.name}: neither given nor a setting of {type(section).__name__}")
    return cls(**values)
