"""Fills a dataclass of parameters from a section of the settings. Fields and settings are matched by name."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from pydantic import BaseModel

T = TypeVar("T")


def take(cls: type[T], section: BaseModel, **given: Any) -> T:
    """Fills a dataclass's fields from the settings of the same names.

    Args:
        cls: a dataclass whose fields are keyword-only.
        section: the settings; settings without a field of the same name are ignored.
        **given: fields with a value that differs from the setting's, or without a setting.

    Raises:
        TypeError: a field has neither a setting nor a given value, or a given name is no field.
    """
    known: dict[str, Field[Any]] = {field.name: field for field in fields(cls) if field.init}  # type: ignore[arg-type]
    if unknown := sorted(given.keys() - known.keys()):
        raise TypeError(f"{cls.__name__} has no field {unknown[0]}; its fields are {', '.join(known)}")
    settings = type(section).model_fields
    values = {name: getattr(section, name) for name in known if name in settings} | given
    optional = {
        name for name, field in known.items() if field.default is not MISSING or field.default_factory is not MISSING
    }
    for name in known.keys() - values.keys() - optional:
        raise TypeError(f"{cls.__name__}.{name}: {type(section).__name__} has no setting {name}, and none was given")
    return cls(**values)
