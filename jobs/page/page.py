"""Renders the page: one HTML file that holds its style, its data and the library that draws, and asks for nothing."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from jobs.page.figure import Figure
from schemas.files import packaged_text

WORDS = {
    "better": "Better than the night before",
    "same": "The same as the night before",
    "worse": "Worse than the night before",
    "first": "The first night: nothing to compare with",
}
"""The verdict in words."""


def render(context: Mapping[str, Any]) -> str:
    """The HTML of the page.

    All texts from the data are escaped. The policy of the page lets no other script run than the two of this package,
    and nothing be asked of the network, whatever a text holds.

    Args:
        context: what the template names; every :class:`Figure` in it is drawn.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True, "allow_nan": False}
    environment.filters |= {"number": number, "signed": signed, "figure": figure}
    style, script, library = (packaged_text("jobs", "page", n) for n in ("report.css", "report.js", "echarts.min.js"))
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src {_hash(library)} {_hash(script)}"
    )
    drawn = {one.name: {"kind": one.kind, "data": _finite(one.data)} for one in _figures(context)}
    page = {"words": WORDS, "policy": policy, "drawn": drawn}
    page |= {"style": Markup(style), "script": Markup(script), "library": Markup(library)}
    return environment.from_string(packaged_text("jobs", "page", "report.html.j2")).render({**context, **page})


def _hash(script: str) -> str:
    """A script as a page's policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _finite(value: Any) -> Any:
    """The same with None, a gap in a picture, for NaN and infinity: JSON of a browser knows neither."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _figures(context: Mapping[str, Any]) -> list[Figure]:
    found = []
    for value in context.values():
        found += [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, Figure)]
    return found


def number(value: float | None, digits: int = 4) -> str:
    """A number with a fixed number of digits; a dash if there is none."""
    return "–" if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 4) -> str:
    """A number with its sign."""
    return "–" if value is None else f"{value:+,.{digits}f}"


def figure(value: float | None) -> str:
    """A whole number without digits, any other with four."""
    if value is None:
        return "–"
    rounded = round(float(value), 4) + 0.0  # no -0
    return f"{rounded:,.0f}" if rounded.is_integer() else f"{rounded:,.4f}"
