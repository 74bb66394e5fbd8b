"""Checks of the codebook's settings before any work."""

from __future__ import annotations

from models.quantize.methods import method_of
from schemas.errors import user_mistakes
from schemas.settings import Settings


def check_method(settings: Settings) -> None:
    """Checks that the method exists and supports the settings of sizes and collisions.

    Raises:
        UserError: the method does not exist or does not support a setting.
    """
    with user_mistakes():
        method_of(settings.codebook).check()
