"""The sources of candidates, one file each; a new file with a :class:`models.retriever.source.Source` adds a source."""

from __future__ import annotations

from collections.abc import Mapping

from models.registry import classes_in
from models.retriever.source import Source

SOURCES: Mapping[str, type[Source]] = classes_in(__name__, __path__, Source)  # type: ignore[type-abstract]
"""All sources by name."""
