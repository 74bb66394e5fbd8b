"""Chooses settings for a new user's log, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from jobs.start.column import words_of
from jobs.start.machine import MODELS, Machine
from jobs.start.ratings import Rating

IMPRESSIONS = {
    *("impression", "impressions", "impress", "show", "shown", "exposure", "expose", "exposed", "display"),
    *("displayed", "served", "serve", "seen"),
}

BAD = {
    *("dislike", "unlike", "skip", "hide", "return", "returned", "refund", "cancel", "cancelled", "unfollow", "report"),
    *("remove", "removed", "delete", "block", "unsubscribe"),
}
"""Words of actions that say that an item was not wanted."""

MOST_TASKS = 4

LEAST_EVENTS = 100
"""Events that an action needs to be a task."""

SMALL_CONTENTS, SMALL_EVENTS = 50_000, 2_000_000
"""Up to here, a log counts as small: what takes most of a night is made shorter."""

SMALL_EPOCHS = 4
"""Times that the two-tower model sees all events of a small log, at most."""

SMOLLM, MINILM = (f"package:{name}" for name in MODELS)

LONGEST_EMBEDDING = 30.0
"""Minutes that the default language model may take to embed the catalogue before a faster one is chosen."""


@dataclass(frozen=True)
class Choice:
    """A setting with a guess for its value.

    Attributes:
        setting: name of the setting, ``section.key``.
        value: the value.
        why: why, in words.
    """

    setting: str
    value: Any
    why: str


def action_choices(
    actions: Mapping[str, int], rating: Rating | None, *, purchases: bool, impression: str | None = None
) -> list[Choice]:
    """Which actions are positive for which task, and which one is an impression.

    Args:
        actions: events by action, the most frequent first; empty if the log has no column of actions.
        rating: the column that says how much a user liked an item; None if there is none.
        purchases: whether the log has quantities, so that its events are purchases.
        impression: the action that the user calls an impression; None to choose.

    Returns:
        The choices; no ``ranking.tasks`` if no action says that an item was wanted.
    """
    if rating is not None and not actions:
        return rating_choices(rating)
    if not actions:
        name = "purchase" if purchases else "click"
        why = "the log has quantities, as purchases have" if purchases else "the log has no column of actions"
        return [
            Choice("ingest.default_action", name, why),
            Choice("ranking.tasks", {name: [name]}, "all events have this one action"),
        ]
    # Where something is shown, something else is done: the only action is none.
    may_be_shown = actions if len(actions) > 1 else ()
    shown = next((name for name in may_be_shown if not IMPRESSIONS.isdisjoint(words_of(name))), None)
    shown = shown if impression is None else impression
    bad = [name for name in actions if name != shown and not BAD.isdisjoint(words_of(name))]
    positive = [name for name, count in actions.items() if name not in (shown, *bad) and count >= LEAST_EVENTS]
    # A log of a few lines is someone's first try.
    positive = positive or [name for name in actions if name not in (shown, *bad)]
    tasks = dict[str, list[str]]()
    for name in positive[:MOST_TASKS]:
        tasks.setdefault(_task_name(name), []).append(name)
    rest = [name for name in actions if name not in (shown, *positive[:MOST_TASKS])]
    why = f"each of the log's actions, at most {MOST_TASKS}, with at least {LEAST_EVENTS} events"
    if rest:
        why += f"; not {', '.join(rest)}"
    choices = [Choice("ranking.tasks", tasks, why)] if tasks else []
    if shown is not None:
        choices.insert(0, Choice("ranking.impression", shown, "its name says that an item was shown"))
    return choices


def rating_choices(rating: Rating) -> list[Choice]:
    """The one task of a log with ratings, or with a label of 1 and 0."""
    name = "like"
    if rating.is_label:
        name = next((word for word in words_of(rating.column) if word in ("click", "purchase", "order")), name)
    why = f"a {name} is a {rating.column} of {rating.least_positive:g} and more; less is an impression"
    return [Choice("ranking.tasks", {name: [name]}, why)]


def label_choice(rating: Rating) -> Choice:
    """From which value on a rating, or a label of 1 and 0, is positive."""
    scale = f"{rating.scale[0]:g} to {rating.scale[-1]:g}"
    why = f"{rating.column} goes from {scale}, and {rating.least_positive:g} and more count as liked"
    return Choice("ingest.label_above", rating.above, why)


def _task_name(action: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", action.lower()).strip("_")
    return name if re.match("[a-z]", name) else f"action_{name}".rstrip("_")


def split_choices(days: Sequence[tuple[date, int]]) -> list[Choice]:
    """How much of the log is kept for validation and test.

    Args:
        days: the days of the log, each with its number of events.
    """
    events = sum(count for _, count in days)
    share, why = 0.1, f"{events:,} events"
    if events >= 10_000_000:
        share, why = 0.02, f"of {events:,} events this is enough to measure on"
    elif events >= 1_000_000:
        share, why = 0.05, f"of {events:,} events this is enough to measure on"
    if len(days) < 10:
        why = f"the log has {len(days)} days, and a period is at least one whole day"
    return [Choice("split.valid_share", share, why), Choice("split.test_share", share, "as for the validation")]


def model_choices(contents: int, characters: float, machine: Machine) -> list[Choice]:
    """Which language model embeds the items.

    Args:
        contents: distinct contents of the catalogue.
        characters: mean length of a content's text.
        machine: what this machine has.
    """
    choices = []
    tokens = contents * min(characters / 4 + 8, 128)
    minutes = tokens / 1000 * machine.seconds_per_thousand_tokens / 60
    if machine.has(SMOLLM) and (minutes <= LONGEST_EMBEDDING or machine.gpu or not machine.has(MINILM)):
        time = f"embeds {contents:,} contents in about {max(1, round(minutes))} min here"
        why = f"it is installed, and {f'runs on the {machine.gpu}' if machine.gpu else time}"
        choices.append(Choice("language_model.model", SMOLLM, why))
        if machine.computes_in_bfloat16:
            why = f"the {machine.gpu} has it" if machine.gpu else "this processor has it: half of the time"
            choices.append(Choice("language_model.dtype", "bfloat16", why))
        choices.append(Choice("embed.layer", 12, "of 30 layers: 0.4 of the time, for a little less quality"))
    elif machine.has(MINILM):
        why = f"it is installed, and the default would take about {round(minutes):,} min for {contents:,} contents here"
        choices.append(Choice("language_model.model", MINILM, why))
        choices.append(Choice("embed.layer", -1, "this model is made to be read at its last layer"))
    return choices


def judge_choices(machine: Machine) -> list[Choice]:
    """Whether pairs can be judged by the default model.

    Args:
        machine: what this machine has.
    """
    if machine.has(MINILM):
        return []
    return [Choice("judge.max_pairs", 0, "the judge's default model is not installed; name one in [judge]")]


def history_choices(median_events: float, least_items: int) -> list[Choice]:
    """Which users are mined for pairs, if most have few events.

    Args:
        median_events: events of the median user.
        least_items: distinct items that a user needs to be mined for pairs.
    """
    if median_events >= least_items:
        return []
    why = f"half of the users have at most {median_events:g} events, and by default {least_items} items are needed"
    return [Choice("mine.min_user_items", 2, why)]


def size_choices(contents: int, events: int, machine: Machine) -> list[Choice]:
    """Shorter work for small data; nothing for data that is not small.

    Args:
        contents: distinct contents of the catalogue.
        events: events of the log.
        machine: what this machine has.
    """
    if contents > SMALL_CONTENTS or events > SMALL_EVENTS:
        return []
    why = f"{contents:,} contents and {events:,} events are little data"
    judge = [Choice("judge.max_pairs", 400, "enough for a first look; raise it once the rest works")]
    steps = max(100, min(1000, SMALL_EPOCHS * events // 1024))
    return [
        *(judge if machine.has(MINILM) else []),
        Choice("mine.user2item.steps", steps, f"batches of 1,024: at most {SMALL_EPOCHS} times all events; {why}"),
        Choice("codebook.fsq.steps", 1000, f"a third of the default; {why}"),
        Choice("examples.found_length", 30, "shorter histories are trained on faster"),
    ]
