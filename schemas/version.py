"""The version of qarm: the one place that says it; pyproject.toml reads it from here."""

from __future__ import annotations

VERSION = "0.6.0"
