"""The version of qarm, which pyproject.toml reads from here."""

from __future__ import annotations

VERSION = "0.6.0"
