"""The quantizer methods, one file each; a new file with a :class:`models.quantize.method.Method` adds a method."""

from __future__ import annotations

from collections.abc import Mapping

from models.quantize.method import Method
from models.registry import classes_in
from schemas.codebook_sections import CodebookSettings

METHODS: Mapping[str, type[Method]] = classes_in(__name__, __path__, Method)  # type: ignore[type-abstract]
"""All methods by name."""


def method_of(settings: CodebookSettings) -> Method:
    """The method that ``codebook.method`` selects.

    Raises:
        ValueError: no method has this name.
    """
    if settings.method not in METHODS:
        raise ValueError(f"codebook.method: there is no method {settings.method}; set one of {', '.join(METHODS)}")
    return METHODS[settings.method](settings)
