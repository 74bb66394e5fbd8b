"""The judges of pairs, one file each: a new file with a :class:`models.llm.judge.Judge` is a new judge."""

from __future__ import annotations

from collections.abc import Mapping

from models.llm.judge import Judge, LocalJudge
from models.registry import classes_in

JUDGES: Mapping[str, type[Judge]] = classes_in(__name__, __path__, Judge)  # type: ignore[type-abstract]
"""By name."""


def judge_of(method: str, has_endpoint: bool) -> type[Judge]:
    """The judge that ``judge.method`` names: the endpoint's where there is one and it can judge so, else a local one.

    Raises:
        ValueError: there is none.
    """
    of_method = [judge for judge in JUDGES.values() if judge.asked_by() == method]
    usable = [judge for judge in of_method if has_endpoint or not judge.by_endpoint]
    if not usable:
        methods = sorted({judge.asked_by() for judge in JUDGES.values()})
        raise ValueError(f"judge.method: no method {method}; the methods are {', '.join(methods)}")
    return max(usable, key=lambda judge: judge.by_endpoint)


def local_judge(name: str) -> type[LocalJudge]:
    """A judge that reads a local model.

    Raises:
        KeyError: there is none of this name.
    """
    judge = JUDGES[name]
    if not issubclass(judge, LocalJudge):
        raise KeyError(f"{name} reads no local model")
    return judge


def meaning_of(verdicts_name: str) -> str:
    """What the scores kept under a judge's name mean; nothing where no judge here gave them."""
    return next((judge.meaning for judge in JUDGES.values() if judge.gave(verdicts_name)), "")
