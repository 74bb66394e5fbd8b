"""Whether the files of the language models are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lake.health import Finding
from models.llm.language_model import locate
from schemas.settings import Settings

WEIGHTS = (".safetensors", ".gguf")


def models_of(settings: Settings) -> Iterator[Finding]:
    """A finding for each model that a night would load.

    Args:
        settings: all settings.
    """
    yield _of("language model", settings.language_model.model, "language_model.model")
    judged_here = settings.judge.max_pairs > 0 and not settings.endpoint.url
    if judged_here and settings.judge.model != settings.language_model.model:
        yield _of("judge's model", settings.judge.model, "judge.model")


def _of(what: str, name: str, setting: str) -> Finding:
    try:
        folder = Path(locate(name).location)
    except FileNotFoundError as error:
        found, _, mend = str(error).removeprefix("language_model.model: ").partition("; ")
        return Finding(what, f"{setting}: {found}", mend)
    if not folder.is_dir():
        mend = f"a night downloads it; without internet, set {setting} to a folder"
        return Finding(what, f"{name}, a model of the Hugging Face hub", mend, may_stay=True)
    files = [path for path in folder.iterdir() if path.suffix in WEIGHTS]
    if not files:
        return Finding(what, f"{setting}: {folder} holds no weights as safetensors or GGUF", "name another folder")
    return Finding(what, f"{name}, {sum(path.stat().st_size for path in files) / 1e6:,.0f} MB in {folder}")
