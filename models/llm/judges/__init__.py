"""The judges of item pairs, one file each; a new file with a subclass of :class:`models.llm.judge.Judge` adds one."""

from __future__ import annotations

from collections.abc import Mapping

from models.llm.judge import Judge, LocalJudge
from models.registry import classes_in

JUDGES: Mapping[str, type[Judge]] = classes_in(__name__, __path__, Judge)  # type: ignore[type-abstract]
"""All judges by name."""


def judge_of(method: str, has_endpoint: bool) -> type[Judge]:
    """The judge that ``judge.method`` selects.

    If an endpoint is set and a judge of this method uses it, that judge is preferred to a local one.

    Raises:
        ValueError: no judge has this method.
    """
    of_method = [judge for judge in JUDGES.values() if judge.asked_by() == method]
    usable = [judge for judge in of_method if has_endpoint or not judge.by_endpoint]
    if not usable:
        methods = sorted({judge.asked_by() for judge in JUDGES.values()})
        raise ValueError(f"judge.method: there is no method {method}; set one of {', '.join(methods)}")
    return max(usable, key=lambda judge: judge.by_endpoint)


def local_judge(name: str) -> type[LocalJudge]:
    """The judge of this name, which must run a local model.

    Raises:
        KeyError: no local judge has this name.
    """
    judge = JUDGES[name]
    if not issubclass(judge, LocalJudge):
        raise KeyError(f"judge {name} does not run a local model")
    return judge


def meaning_of(verdicts_name: str) -> str:
    """Meaning of the scores stored under a name of verdicts; empty if they come from no known judge."""
    return next((judge.meaning for judge in JUDGES.values() if judge.gave(verdicts_name)), "")
