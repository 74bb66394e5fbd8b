"""All settings with their types and checks; conf/default.toml holds the defaults."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from schemas.codebook_sections import CodebookSettings
from schemas.errors import UserError
from schemas.files import packaged_text
from schemas.language_model_sections import (
    AlignSettings,
    AnchorsSettings,
    EmbedSettings,
    EndpointSettings,
    LanguageModelSettings,
    QuestionsSettings,
)
from schemas.ranking_sections import ExamplesSettings, RankerSettings, RankingSettings, ScoreSettings
from schemas.recipe import values_of
from schemas.renamed import RENAMED
from schemas.retrieval_sections import RecommendSettings, RetrieveSettings
from schemas.retriever_sections import RetrieverSettings
from schemas.sections import (
    DemoSettings,
    GateSettings,
    IncrementsSettings,
    IngestSettings,
    JudgeSettings,
    MineSettings,
    NightlySettings,
    ReportSettings,
    Section,
    SparkSettings,
    SplitSettings,
    TrackingSettings,
)


class Settings(Section):
    """All settings of a run."""

    spark: SparkSettings
    ingest: IngestSettings
    split: SplitSettings
    ranking: RankingSettings
    mine: MineSettings
    judge: JudgeSettings
    endpoint: EndpointSettings
    language_model: LanguageModelSettings
    questions: QuestionsSettings
    anchors: AnchorsSettings
    align: AlignSettings
    embed: EmbedSettings
    codebook: CodebookSettings
    examples: ExamplesSettings
    ranker: RankerSettings
    retriever: RetrieverSettings
    score: ScoreSettings
    retrieve: RetrieveSettings
    recommend: RecommendSettings
    nightly: NightlySettings
    increments: IncrementsSettings
    gate: GateSettings
    tracking: TrackingSettings
    report: ReportSettings
    demo: DemoSettings

    def digest(self, sections: Iterable[str]) -> str:
        """A short hash of some sections; it is equal only if all values are equal that change what a job makes.

        Args:
            sections: names of the sections.
        """
        values = {name: values_of(getattr(self, name)) for name in sorted(sections)}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]


def load_settings(configs: Iterable[str | Path] = (), assignments: Iterable[str] = ()) -> Settings:
    """Reads the defaults, then the config files, then the assignments; a later value replaces an earlier one.

    Args:
        configs: TOML files.
        assignments: texts ``section.key=value``; a value that is no TOML is read as text.

    Raises:
        UserError: a file is missing or no TOML, a section or key is unknown, or a value is of the wrong kind.
    """
    values: dict[str, Any] = tomllib.loads(packaged_text("conf", "default.toml"))
    for config in configs:
        _merge(values, _read_toml(Path(config)))
    for assignment in assignments:
        _merge(values, _parse_assignment(assignment))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise UserError("settings: " + "; ".join(_complaint(item) for item in error.errors())) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"--config {path}: {error.strerror or error}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"--config {path}: not valid TOML: {error}") from None


def _parse_assignment(assignment: str) -> dict[str, Any]:
    match = re.fullmatch(r"(\w+)\.([\w.]+)=(.*)", assignment, flags=re.DOTALL)
    if not match:
        raise UserError(f"--set {assignment}: expected section.key=value")
    section, key, text = match.groups()
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    nested: Any = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return {section: nested}


def _merge(values: dict[str, Any], extra: Mapping[str, Any], section: type[Section] = Settings) -> None:
    """Merges sections key by key, and replaces all other values."""
    for key, value in extra.items():
        field = section.model_fields.get(key)
        kind = field.annotation if field else None
        both = isinstance(value, Mapping) and isinstance(values.get(key), dict)
        if both and isinstance(kind, type) and issubclass(kind, Section):
            _merge(values[key], value, kind)
        else:
            values[key] = value


def _complaint(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"]) or "settings"
    if place in RENAMED:
        return f"{place} is now {RENAMED[place]}"
    if error["type"] == "extra_forbidden":
        return f"{place} is not a setting; conf/default.toml lists all of them"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], Mapping) else f" (got {error['input']!r})"
    given = re.sub(r"//[^/]*@", "//...@", given)  # a user and a password
    return f"{place}: {message[0].lower()}{message[1:]}{given}"
