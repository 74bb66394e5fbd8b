"""The settings that an artifact or a job's result depends on: all but those that are marked otherwise."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pydantic import BaseModel


class NotInRecipe:
    """Marks a setting that does not change the artifact: ``Annotated[Count, NOT_IN_RECIPE]``."""


class HowItRuns(NotInRecipe):
    """Marks a setting that changes how a job runs, and nothing of what it makes: ``Annotated[str, HOW_IT_RUNS]``."""


NOT_IN_RECIPE, HOW_IT_RUNS = NotInRecipe(), HowItRuns()


def recipe_of(section: BaseModel, reads: Collection[str] | None = None) -> dict[str, Any]:
    """The settings of a section that an artifact depends on, by name.

    Settings marked :data:`NOT_IN_RECIPE` are left out. A setting of a nested section is named
    ``<section>_<setting>``.

    Args:
        section: the settings.
        reads: nested settings that the artifact depends on: ``"fsq"`` is a whole section, ``"kmeans.sizes"`` one
            setting; None for all nested sections.
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


def values_of(section: BaseModel) -> dict[str, Any]:
    """The settings of a section that what a job makes depends on, by name; a nested section is a dictionary.

    Settings marked :data:`HOW_IT_RUNS` are left out.

    Args:
        section: the settings.
    """
    values = section.model_dump(mode="json")
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if any(isinstance(mark, HowItRuns) for mark in field.metadata):
            del values[name]
        elif isinstance(value, BaseModel):
            values[name] = values_of(value)
    return values
