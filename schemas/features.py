"""The features of a ranking example, each declared once: columns, settings, the ranker's head and docs follow."""

from __future__ import annotations

from hashlib import sha256

from schemas.feature import CountBefore, Feature, Reads, Switch
from schemas.names import PAIR_SOURCES, SID_COLUMNS

SIMILARITY_TIERS = 16
"""Ranges of similarity that the events of a history are counted in."""

SWITCHES = (
    Switch(name="codes", comment="semantic IDs of target and history, and how often all users took the target's"),
    Switch(name="neighbours", comment="the target's nearest items (QARM V1's VQ code)"),
    Switch(
        name="crosses", comment="how many leading codes events share with the target (QARM V1); needs codes",
        needs="codes",
    ),
    Switch(name="histogram", comment="the user's events by similarity to the target: counted (MUSE), best, means"),
    Switch(name="behaviour", comment="similarity to the user's events by who takes what, see examples.behaviour"),
    Switch(name="taste", comment="how the user's taste by who takes what goes with the target and with its takers"),
    Switch(name="distinct_items", comment="distinct items of the target's kind that the user took, lately and in all"),
    Switch(
        name="pairs", default=False,
        comment="item_pairs of items taken before with the target; they know the labels without a split.fit_share",
    ),
    Switch(name="mix", comment="attention mixes in the found events' similarity (MUSE)"),
    Switch(name="counts", comment="how often the user took the item before; how often and how lately all users did"),
)  # fmt: skip
"""In the order that conf/default.toml lists them."""

_SHARES = ("sid_1", "sid_1 and sid_2", "all three codes")
_SPANS = (
    ("", None, ""),
    ("week_", 7, "in the 7 days "),
    ("month_", 28, "in the 28 days "),
    ("quarter_", 91, "in the 91 days "),
)
_BEFORE = "before the example's day"


def _similarities(prefix: str, vectors: str) -> tuple[tuple[str, str], ...]:
    """Parts of a similarity to all of the user's earlier events."""
    return (
        (f"{prefix}best", f"Highest cosine of the target and an earlier event of the user, by {vectors}"),
        (f"{prefix}mean_of_5", f"Mean of the 5 highest cosines of the target and earlier events, by {vectors}"),
        (f"{prefix}mean_of_50", f"Mean of the 50 highest cosines of the target and earlier events, by {vectors}"),
        (f"{prefix}mean", f"Mean cosine of the target and all earlier events, by {vectors}"),
    )


def _distinct(prefix: str, which: str) -> tuple[tuple[str, str], ...]:
    """Parts that count distinct items."""
    return (
        (f"{prefix}all", f"Distinct items the user took before{which}"),
        (f"{prefix}category", f"Distinct items of the target's category that the user took before{which}"),
        (f"{prefix}sid_1", f"Distinct items with the target's sid_1 that the user took before{which}"),
        (f"{prefix}sid_1_2", f"Distinct items with the target's sid_1 and sid_2 that the user took before{which}"),
    )


FEATURES: tuple[Feature, ...] = (
    Feature(
        name="item_index", type="INT", reads=Reads.ID,
        comment="Row of the target item in the ranker's item table; 1 for an item that the train period hardly knows",
    ),
    *(
        Feature(name=name, type="INT", reads=Reads.ID, switch="codes", comment=f"The target's {name} + 1; 0 for none")
        for name in SID_COLUMNS
    ),
    Feature(
        name="hour", type="INT", reads=Reads.CATEGORY, values=24, of_user=True, comment="UTC hour of event_time",
    ),
    Feature(
        name="weekday", type="INT", reads=Reads.CATEGORY, values=7, of_user=True,
        comment="Day of the week of event_time in UTC, 0 = Monday",
    ),
    Feature(
        name="history_length", type="INT", reads=Reads.LOG1P, of_user=True,
        comment="Positive events of the user before event_time",
    ),
    Feature(
        name="taken", type="INT", reads=Reads.LOG1P, switch="counts", comment="Times the user took the target before",
    ),
    Feature(
        name="taken_gap", type="INT", reads=Reads.BUCKET, switch="counts",
        comment="Bucket of the time since the user last took the target; 0 for never",
    ),
    *(
        Feature(
            name=f"item_{span}events", type="INT", reads=Reads.LOG1P, switch="counts",
            count=CountBefore(what="events", key="item", days=days),
            comment=f"Positive events of all users on the target {during}{_BEFORE}",
        )
        for span, days, during in _SPANS
    ),
    *(
        Feature(
            name=f"item_{span}takers", type="INT", reads=Reads.LOG1P, switch="counts",
            count=CountBefore(what="takers", key="item", days=days),
            comment=f"Users who took the target for the first time {during}{_BEFORE}",
        )
        for span, days, during in _SPANS
    ),
    Feature(
        name="item_age", type="INT", reads=Reads.LOG1P, switch="counts",
        count=CountBefore(what="age", key="item"),
        comment="Days since the target's first positive event; 0 where it has none on an earlier day",
    ),
    Feature(
        name="item_idle", type="INT", reads=Reads.LOG1P, switch="counts",
        count=CountBefore(what="idle", key="item"),
        comment="Days since the target's last positive event on an earlier day; 0 for none",
    ),
    *(
        Feature(
            name=f"sid_{span}events", type="INT", reads=Reads.LOG1P, switch="codes",
            count=CountBefore(what="events", key="sid", days=days),
            comment=f"Positive events of all users on items of the target's SID {during}{_BEFORE}",
        )
        for span, days, during in (_SPANS[0], _SPANS[2])
    ),
    *(
        Feature(
            name=f"shared_{level}", type="INT", reads=Reads.LOG1P, switch="crosses",
            comment=f"Earlier events of the user whose item shares {shared} with the target",
        )
        for level, shared in enumerate(_SHARES, 1)
    ),
    Feature(
        name="shared_gap", type="INT", reads=Reads.BUCKET, switch="crosses",
        comment="Bucket of the time since the user last took an item of the target's SID; 0 for never",
    ),
    Feature(
        name="similar", type="INT", reads=Reads.LOG1P, switch="histogram", width=SIMILARITY_TIERS,
        comment="Histogram of the user's earlier events by the cosine of their item and the target: first those up to"
        " 0, then 14 equal steps from 0 to 1, last those of 0.9999 and more, which are of the target's own content",
    ),
    Feature(
        name="similarity", type="FLOAT", reads=Reads.AS_IS, switch="histogram",
        comment="Similarity of the target to the user's earlier events; 0 where there are none",
        parts=(*_similarities("", "search_embedding"), *_similarities("text_", "text_embedding")),
    ),
    Feature(
        name="behaviour", type="FLOAT", reads=Reads.AS_IS, switch="behaviour", tells_presence=True,
        comment="Similarity of the target to the user's earlier events by who takes what, in vectors fitted before"
        " event_time; 0 where there are none",
        parts=(*_similarities("coarse_", "short behaviour vectors"), *_similarities("fine_", "long behaviour vectors")),
    ),
    Feature(
        name="taste", type="FLOAT", reads=Reads.AS_IS, switch="taste",
        comment="How the user's taste, where it differs from the mean user's, goes with the target, in behaviour"
        " vectors fitted before event_time; 0 where there are none",
        parts=(
            ("audience", "Cosine of the taste of the whole history and the mean taste of those who took the target"),
            ("vector", "Cosine of the taste of the whole history and the target's behaviour vector"),
            ("late_audience", "Cosine of the taste of the last 100 events and the mean taste of the target's takers"),
            ("late_vector", "Cosine of the taste of the last 100 events and the target's behaviour vector"),
        ),
    ),
    Feature(
        name="distinct_items", type="INT", reads=Reads.LOG1P, switch="distinct_items",
        comment="Distinct items that the user took before, each counted at its first time",
        parts=(
            *_distinct("", ""),
            ("late_all", "Distinct items that the user took for the first time within the last 100 events"),
            *_distinct("late_", ", among the 100 that were new to the user last")[1:],
        ),
    ),
    Feature(
        name="mined_pairs", type="FLOAT", reads=Reads.LOG1P, switch="pairs",
        comment="Distinct items that the user took before and item_pairs pairs with the target",
        parts=tuple(
            part
            for source in PAIR_SOURCES
            for part in (
                (f"{source}_triggers", f"Distinct items taken before that trigger the target in {source} pairs"),
                (f"{source}_best", f"Highest score of the {source} pairs of items taken before with the target"),
                (f"{source}_sum", f"Sum of the scores of the {source} pairs of items taken before with the target"),
            )
        ),
    ),
    Feature(
        name="neighbour_item", type="INT", reads=Reads.ID, switch="neighbours", width=0,
        comment="item_index that stands for the target's content, then those of its nearest items; 0 is padding",
    ),
)  # fmt: skip
"""Every feature of a target, in the order of the table's columns and of the head's numbers."""

EVENT_FIELDS: dict[str, str] = {
    "item": "item_index of the event's item",
    **{name: f"{name} + 1 of the event's item" for name in SID_COLUMNS},
    "gap": "bucket of the time between the event and the example",
    "action": "1 + one bit for every task that the event was positive for",
    "position": "bucket of how many of the user's positive events came after the event",
}
"""What every event of a history carries, in the columns ``recent_<field>`` and ``found_<field>``."""

PARTS = {feature.name: feature.part_names for feature in FEATURES if feature.parts}
"""Parts of the STRUCT columns, in the order of the columns of their matrices."""
OF_USER = tuple(feature.name for feature in FEATURES if feature.of_user)
"""Features of which a user has one value at a moment, whatever the candidate."""
COUNTED = {feature.name: feature.count for feature in FEATURES if feature.count is not None}
"""Features that are counted over all users on the cluster."""


def switch_lines() -> list[str]:
    """The section ``[ranker.use]`` of conf/default.toml, without its header."""
    names = [f"{switch.name} = {str(switch.default).lower()}" for switch in SWITCHES]
    return [f"{name:<32}# {switch.comment}" for name, switch in zip(names, SWITCHES, strict=True)]


def declarations_digest() -> str:
    """A short hash of all that weights depend on in how features are read: another one, another format."""
    read = [(f.name, f.type, f.part_names, f.width, f.reads.value, f.values, f.tells_presence) for f in FEATURES]
    return sha256(repr((read, list(EVENT_FIELDS))).encode()).hexdigest()[:12]
