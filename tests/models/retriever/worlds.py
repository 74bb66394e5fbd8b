"""A small log of takings, for tests of retrieval."""

import numpy as np

from models.retriever.background import Asked, Background
from models.retriever.histories import UserHistories
from models.retriever.source import SourceParameters

DAY = 86_400
MOMENT = 100 * DAY
USERS, ITEMS = 14, 30

PARAMETERS = SourceParameters(
    own_half_life_days=20.0,
    group=3,
    within_group=0.9,
    between_groups=0.7,
    own_share=0.6,
    nearest_users=4,
    cosine_half_life_days=10.0,
    recent_half_life_days=15.0,
    transitions_per_item=5,
    min_transitions=1,
    ease_weight=2.0,
    ease_items=20,
    ease_per_item=8,
    popular_days=30.0,
    popular_items=8,
    trending_half_life_days=5.0,
)


def events(seed=0, until=MOMENT, number=600):
    """User, item and time of random takings; a user comes back to a few items."""
    draw = np.random.default_rng(seed)
    user = draw.integers(0, USERS, number)
    item = np.where(
        draw.random(number) < 0.5, (user * 2 + draw.integers(0, 3, number)) % ITEMS, draw.integers(0, ITEMS, number)
    )
    return user, item.astype(np.int32), draw.integers(0, until // DAY, number) * DAY + draw.integers(0, DAY, number)


def background(seed=0, until=MOMENT, *, moment=MOMENT, log=None):
    user, item, time = events(seed, until) if log is None else log
    now = np.full(USERS, moment, np.int64)
    histories = UserHistories.of(user, item, time, now=now)
    content = (np.arange(ITEMS) // 2).astype(np.int32)
    title = (np.arange(ITEMS) // 3).astype(np.int32)
    return Background(moment, content, title, (np.arange(ITEMS) // 6).astype(np.int32), histories)


def asked(of):
    return Asked(of.histories, np.arange(USERS))
