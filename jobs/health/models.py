"""Whether the files of the language models are there."""

from __future__ import annotations

from pathlib import Path

from lake.health import Finding
from lake.lake import Lake
from models.llm.judges import judge_of
from models.llm.language_model import locate

WEIGHTS = (".safetensors", ".gguf")


def language_model(lake: Lake) -> Finding:
    """The model that embeds the items is there."""
    return _of("language model", lake.settings.language_model.model, "language_model.model")


def judge(lake: Lake) -> Finding:
    """The model that judges pairs is there, if it has to run here."""
    settings, has_endpoint = lake.settings.judge, bool(lake.settings.endpoint.url)
    if settings.max_pairs == 0:
        return Finding("judge's model", "none is needed: judge.max_pairs is 0")
    if judge_of(settings.method, has_endpoint).by_endpoint:
        return Finding("judge's model", f"none is needed: {lake.settings.endpoint.url} is asked")
    return _of("judge's model", settings.model, "judge.model")


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
