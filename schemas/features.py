"""The features of a ranking example: columns, settings, docs and the ranker's head follow from these declarations."""

from __future__ import annotations

from hashlib import sha256

from schemas.feature import CountBefore, Feature, Reads, Switch
from schemas.names import PAIR_SOURCES, SID_COLUMNS

SIMILARITY_TIERS = 16
"""Number of bins of the histogram ``similar``."""

SWITCHES = (
    Switch(
        name="codes",
        comment="semantic IDs of the target and of the history; events of all users on the target's semantic ID",
    ),
    Switch(name="neighbours", comment="the target's nearest items by embedding (QARM V1's VQ code)"),
    Switch(
        name="crosses",
        needs="codes",
        comment="number of the user's events that share 1, 2 or 3 leading codes with the target (QARM V1); needs codes",
    ),
    Switch(
        name="histogram", comment="similarity of the user's events to the target: histogram (MUSE), maximum and means"
    ),
    Switch(
        name="behaviour",
        comment="similarity of the target to the user's events in ALS item vectors, see [examples.behaviour]",
    ),
    Switch(
        name="taste", comment="similarity of the user's taste (ALS) to the target and to the users who took the target"
    ),
    Switch(
        name="distinct_items",
        comment="number of distinct items that the user took: all, and of the target's category and codes",
    ),
    Switch(
        name="intervals",
        comment="days since the user's last event of the target's category: number, and in the user's usual intervals",
    ),
    Switch(
        name="pairs",
        default=False,
        comment="scores of item_pairs from the history to the target; the labels leak into them if split.fit_share"
        " is 0",
    ),
    Switch(name="mix", comment="attention also weights the found events by their similarity to the target (MUSE)"),
    Switch(
        name="counts",
        comment="events on the target: number and last one of the user; number, first and last day of all users",
    ),
    Switch(
        name="text",
        default=False,
        comment="anchors of the target and of the history, short texts whose words are trained with the ranker (SARM);"
        " see [ranker.text]",
    ),
)
"""The switches, in the order in which conf/default.toml lists them."""

_SHARES = ("sid_1", "sid_1 and sid_2", "sid_1, sid_2 and sid_3")
_SPANS = (
    ("", None, ""),
    ("week_", 7, "in the 7 days "),
    ("month_", 28, "in the 28 days "),
    ("quarter_", 91, "in the 91 days "),
)
_BEFORE = "before the example's day"


def _similarities(prefix: str, vectors: str) -> tuple[tuple[str, str], ...]:
    """Parts of a STRUCT that holds the target's similarity to the user's earlier events."""
    return (
        (f"{prefix}best", f"Highest cosine similarity of the target and an earlier event of the user, in {vectors}"),
        (
            f"{prefix}mean_of_5",
            f"Mean of the 5 highest cosine similarities of the target and the user's earlier events, in {vectors}",
        ),
        (
            f"{prefix}mean_of_50",
            f"Mean of the 50 highest cosine similarities of the target and the user's earlier events, in {vectors}",
        ),
        (f"{prefix}mean", f"Mean cosine similarity of the target and all of the user's earlier events, in {vectors}"),
    )


def _distinct(prefix: str, which: str) -> tuple[tuple[str, str], ...]:
    """Parts of a STRUCT that counts distinct items."""
    return (
        (f"{prefix}all", f"Number of distinct items that the user took before event_time{which}"),
        (
            f"{prefix}category",
            f"Number of distinct items of the target's category that the user took before event_time{which}",
        ),
        (
            f"{prefix}sid_1",
            f"Number of distinct items with the target's sid_1 that the user took before event_time{which}",
        ),
        (
            f"{prefix}sid_1_2",
            f"Number of distinct items with the target's sid_1 and sid_2 that the user took before event_time{which}",
        ),
    )


FEATURES: tuple[Feature, ...] = (
    Feature(
        name="item_index", type="INT", reads=Reads.ID,
        comment="Row of the target item in the ranker's item table; 1 for an item with too few positive events in"
        " the train period (setting examples.min_item_events)",
    ),
    *(
        Feature(name=name, type="INT", reads=Reads.ID, switch="codes", comment=f"{name} of the target item, plus 1; 0"
        " for none")
        for name in SID_COLUMNS
    ),
    Feature(
        name="hour", type="INT", reads=Reads.CATEGORY, values=24, of_user=True, comment="Hour of event_time in UTC",
    ),
    Feature(
        name="weekday", type="INT", reads=Reads.CATEGORY, values=7, of_user=True,
        comment="Day of the week of event_time in UTC, 0 = Monday",
    ),
    Feature(
        name="history_length", type="INT", reads=Reads.LOG1P, of_user=True,
        comment="Number of the user's positive events before event_time",
    ),
    Feature(
        name="taken", type="INT", reads=Reads.LOG1P, switch="counts",
        comment="Number of the user's positive events on the target item before event_time",
    ),
    Feature(
        name="taken_gap", type="INT", reads=Reads.BUCKET, switch="counts",
        comment="Bucket of the time since the user's last positive event on the target item; each bucket is twice as"
        " wide as the one before it; 0 for no such event",
    ),
    *(
        Feature(
            name=f"item_{span}events", type="INT", reads=Reads.LOG1P, switch="counts",
            count=CountBefore(what="events", key="item", days=days),
            comment=f"Number of positive events of all users on the target item {during}{_BEFORE}",
        )
        for span, days, during in _SPANS
    ),
    *(
        Feature(
            name=f"item_{span}takers", type="INT", reads=Reads.LOG1P, switch="counts",
            count=CountBefore(what="takers", key="item", days=days),
            comment=f"Number of users whose first positive event on the target item was {during}{_BEFORE}",
        )
        for span, days, during in _SPANS
    ),
    Feature(
        name="item_age", type="INT", reads=Reads.LOG1P, switch="counts",
        count=CountBefore(what="age", key="item"),
        comment="Days from the first positive event on the target item to the example's day; 0 if there is no event"
        " before that day",
    ),
    Feature(
        name="item_idle", type="INT", reads=Reads.LOG1P, switch="counts",
        count=CountBefore(what="idle", key="item"),
        comment="Days from the last positive event on the target item to the example's day, events of that day left"
        " out; 0 if there is no event before that day",
    ),
    *(
        Feature(
            name=f"sid_{span}events", type="INT", reads=Reads.LOG1P, switch="codes",
            count=CountBefore(what="events", key="sid", days=days),
            comment=f"Number of positive events of all users on items with the target's semantic ID {during}{_BEFORE}",
        )
        for span, days, during in (_SPANS[0], _SPANS[2])
    ),
    *(
        Feature(
            name=f"shared_{level}", type="INT", reads=Reads.LOG1P, switch="crosses",
            comment=f"Number of the user's earlier positive events on items that share {shared} with the target",
        )
        for level, shared in enumerate(_SHARES, 1)
    ),
    Feature(
        name="shared_gap", type="INT", reads=Reads.BUCKET, switch="crosses",
        comment="Bucket of the time since the user's last positive event on an item with the target's semantic ID;"
        " each bucket is twice as wide as the one before it; 0 for no such event",
    ),
    Feature(
        name="similar", type="INT", reads=Reads.LOG1P, switch="histogram", width=SIMILARITY_TIERS,
        comment="Histogram of the user's earlier events by cosine similarity (search_embedding) of the event's item"
        " and the target item: 1 bin up to 0, 14 equal bins from 0 to 1, 1 bin from 0.9999 for items with the"
        " target's content",
    ),
    Feature(
        name="similarity", type="FLOAT", reads=Reads.AS_IS, switch="histogram",
        comment="Cosine similarity of the target item and the items of the user's earlier events; 0 if there are no"
        " earlier events",
        parts=(*_similarities("", "search_embedding"), *_similarities("text_", "text_embedding")),
    ),
    Feature(
        name="behaviour", type="FLOAT", reads=Reads.AS_IS, switch="behaviour", tells_presence=True,
        comment="Cosine similarity of the target item and the items of the user's earlier events, in ALS item"
        " vectors fitted on the log before event_time; 0 if there are no vectors or no earlier events",
        parts=(*_similarities("coarse_", "short ALS item vectors"), *_similarities("fine_", "long ALS item vectors")),
    ),
    Feature(
        name="taste", type="FLOAT", reads=Reads.AS_IS, switch="taste",
        comment="Similarity of the user's taste and the target item. A taste is the direction in which the mean ALS"
        " item vector of a user differs from the mean user's; vectors are fitted on the log before event_time; 0 if"
        " there are none",
        parts=(
            ("audience", "Inner product of the user's taste (whole history) and the mean taste of the users who took"
            " the target"),
            ("vector", "Cosine similarity of the user's taste (whole history) and the target's ALS item vector"),
            (
                "late_audience",
                "Inner product of the user's taste (last 100 events) and the mean taste of the users who took the"
                " target",
            ),
            ("late_vector", "Cosine similarity of the user's taste (last 100 events) and the target's ALS item vector"),
        ),
    ),
    Feature(
        name="distinct_items", type="INT", reads=Reads.LOG1P, switch="distinct_items",
        comment="Numbers of distinct items on which the user had a positive event before event_time",
        parts=(
            *_distinct("", ""),
            ("late_all", "Number of distinct items that the user took for the first time within the last 100 events"),
            *_distinct("late_", ", among the last 100 items that were new to the user")[1:],
        ),
    ),
    Feature(
        name="category_interval", type="FLOAT", reads=Reads.LOG1P, switch="intervals", tells_presence=True,
        comment="How long ago the user's last event of the target's category was; 0 where there is none",
        parts=(
            ("days", "Days since the user's last event of the target's category"),
            (
                "of_usual",
                "Days since the user's last event of the target's category / mean days between the user's events of the"
                " category; events of one moment count once",
            ),
        ),
    ),
    Feature(
        name="mined_pairs", type="FLOAT", reads=Reads.LOG1P, switch="pairs",
        comment="Pairs of table item_pairs from items that the user took before event_time to the target item; a"
        " score is divided by the best score of its trigger",
        parts=tuple(
            part
            for source in PAIR_SOURCES
            for part in (
                (f"{source}_triggers", "Number of distinct items that the user took before and that are triggers of"
                f" the target in {source} pairs"),
                (f"{source}_best", f"Highest score of the {source} pairs from items that the user took before to the"
                " target"),
                (f"{source}_sum", f"Sum of the scores of the {source} pairs from items that the user took before to"
                " the target"),
            )
        ),
    ),
    Feature(
        name="neighbour_item", type="INT", reads=Reads.ID, switch="neighbours", width=0,
        comment="item_index of the most popular item with the target's content, then with the content of each of the"
        " target's nearest items, nearest first; 0 is padding",
    ),
    Feature(
        name="text_row", type="INT", reads=Reads.ID, switch="text",
        comment="1 plus the target item's row in the search index, by which the ranker finds the item's text",
    ),
)  # fmt: skip
"""All features of a target, in the order of the table's columns and of the head's input."""

EVENT_FIELDS: dict[str, str] = {
    "item": "item_index of each event's item",
    **{name: f"{name} of each event's item, plus 1" for name in SID_COLUMNS},
    "gap": "bucket of the time from each event to the example",
    "action": "1 plus one bit for every task that each event was positive for (2^0 for the first task)",
    "position": "bucket of the number of the user's positive events after each event",
}
"""Fields of the events of a history. Each is stored in the columns ``recent_<field>`` and ``found_<field>``."""

PARTS = {feature.name: feature.part_names for feature in FEATURES if feature.parts}
"""Parts of every STRUCT column, in the order of the columns of its matrix."""
OF_USER = tuple(feature.name for feature in FEATURES if feature.of_user)
"""Features that have the same value for all candidates of a user at one moment."""
COUNTED = {feature.name: feature.count for feature in FEATURES if feature.count is not None}
"""Features that Spark counts over all users."""


def switch_lines() -> list[str]:
    """The section ``[ranker.use]`` of conf/default.toml, without its header."""
    names = [f"{switch.name} = {str(switch.default).lower()}" for switch in SWITCHES]
    return [f"{name:<32}# {switch.comment}" for name, switch in zip(names, SWITCHES, strict=True)]


def declarations_digest() -> str:
    """A short hash of how features are read. Weights saved under another hash cannot be loaded."""
    read = [(f.name, f.type, f.part_names, f.width, f.reads.value, f.values, f.tells_presence) for f in FEATURES]
    return sha256(repr((read, list(EVENT_FIELDS))).encode()).hexdigest()[:12]
