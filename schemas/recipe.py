"""Which settings an artifact is made from: all of a section's, but for those that are marked otherwise."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel


class NotInRecipe:
    """Marks a setting that changes nothing in what is made: ``Annotated[Count, NOT_IN_RECIPE]``."""


NOT_IN_RECIPE = NotInRecipe()


def recipe_of(section: BaseModel, reads: Collection[str] | None = None) -> dict[str, Any]:
    """The settings of a section that an artifact depends on, by name.

    A setting of the section itself is among them unless it is marked :data:`NOT_IN_RECIPE`. A setting of a section
    within it is called ``<section>_<setting>``.

    Args:
        section: the settings.
        reads: which of the sections within count: ``"fsq"`` is a whole one, ``"kmeans.sizes"`` one setting of it; None
            for all of them.
    """
    recipe: dict[str, Any] = {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if any(isinstance(mark, NotInRecipe) for mark in field.metadata):
            continue
        if not isinstance(value, BaseModel):
            recipe[name] = value
            continue
        for inner, setting in recipe_of(value).items():
            if reads is None or name in reads or f"{name}.{inner}" in reads:
                recipe[f"{name}_{inner}"] = setting
    return recipe
