"""What is checked of the codebook's settings before any work begins."""

from __future__ import annotations

from models.quantize.methods import method_of
from schemas.errors import user_mistakes
from schemas.settings import Settings


def check_method(settings: Settings) -> None:
    """The method exists, and takes the sizes and the way with collisions that the settings name.

    Raises:
        UserError: it does not.
    """
    with user_mistakes():
        method_of(settings.codebook).check()
