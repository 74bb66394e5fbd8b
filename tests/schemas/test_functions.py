"""The SQL functions' texts agree with the settings and with themselves."""

from __future__ import annotations

from typing import get_args

import pytest

from schemas.explaining import SEARCHES
from schemas.functions import FUNCTIONS
from schemas.ranking_sections import ExamplesSettings


def test_every_search_that_the_setting_takes_is_told_in_sql() -> None:
    assert {*SEARCHES} == {*get_args(ExamplesSettings.model_fields["search"].annotation)}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_are_named_with_their_function(name: str) -> None:
    """A column of the same name would hide the parameter."""
    function = FUNCTIONS[name]
    for parameter in function.parameters.split(", "):
        assert f"{name}.{parameter.split()[0]}" in function.query
