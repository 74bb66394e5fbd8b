"""From codes to items: one code can stand for many products, and a scored rule picks among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.retriever.catalogue import Catalogue
from models.retriever.histories import DAY, UserHistories
from models.retriever.serving import GeneratedCodes


@dataclass(frozen=True, kw_only=True)
class ItemRule:
    """How an item of a code is chosen.

    The probability of an item, given its code and the user, is ``(prior * p + own) / (prior + sum of own)``: ``own`` is
    the number of times that the user took the item, each counted ``0.5 ** (age / half_life_days)``, so it holds count
    and recency; ``p`` is the item's share of its code's popularity. That is the mean of a Dirichlet distribution.

    Attributes:
        prior: weight of the popularity, in events of the user.
        half_life_days: days after which an event of the user counts half.
        items_per_code: most items that a code gives; those with the highest probability.
        unseen: what is added to each item's popularity, so that an item that nobody took yet has a chance.
    """

    prior: float
    half_life_days: float
    items_per_code: int
    unseen: float = 0.1


@dataclass(frozen=True)
class RankedItems:
    """Items for a batch of users, best first.

    Attributes:
        items: numbers of the items in the catalogue, padded with -1, shape (users, most).
        score: logarithm of the probability of code and item, -inf for padding, shape (users, most).
    """

    items: NDArray[np.int32]
    score: NDArray[np.float32]


def items_of(
    generated: GeneratedCodes, histories: UserHistories, catalogue: Catalogue, rule: ItemRule, *, most: int
) -> RankedItems:
    """The items of generated codes, by the scored rule.

    Args:
        generated: codes and their logarithms of probability, one row a user.
        histories: the same users' histories.
        catalogue: the catalogue that the codes are of; its popularity may be newer than the retriever.
        rule: how an item of a code is chosen.
        most: number of items for each user.
    """
    found = _candidates(generated, histories, catalogue, rule)
    score = generated.log_prob[found.user, found.place] + np.log(found.chance)
    order = np.lexsort((found.item, -found.chance, found.code))
    kept = order[_rank(found.code[order]) < rule.items_per_code]
    order = kept[np.lexsort((found.item[kept], -score[kept], found.user[kept]))]
    rank = _rank(found.user[order])
    order, rank = order[rank < most], rank[rank < most]
    items = np.full((histories.users, most), -1, np.int32)
    scores = np.full((histories.users, most), -np.inf, np.float32)
    user = found.user[order]
    items[user, rank], scores[user, rank] = found.item[order], score[order]
    return RankedItems(items, scores)


def best_items(
    generated: GeneratedCodes, histories: UserHistories, catalogue: Catalogue, rule: ItemRule
) -> NDArray[np.int32]:  # fmt: skip
    """The best item of each generated code, by the scored rule; -1 for padding, shape (users, beam).

    Args:
        generated: codes, one row a user.
        histories: the same users' histories.
        catalogue: the catalogue that the codes are of.
        rule: how an item of a code is chosen.
    """
    found = _candidates(generated, histories, catalogue, rule)
    order = np.lexsort((found.item, -found.chance, found.code))
    first = order[_rank(found.code[order]) == 0]
    items = np.full(generated.codes.shape, -1, np.int32)
    items[found.user[first], found.place[first]] = found.item[first]
    return items


@dataclass(frozen=True)
class _Candidates:
    """The items of all codes of all users: user, place in the beam, number of the pair of both, item and its chance."""

    user: NDArray[np.int64]
    place: NDArray[np.int64]
    code: NDArray[np.int64]
    item: NDArray[np.int32]
    chance: NDArray[np.float64]


def _candidates(
    generated: GeneratedCodes, histories: UserHistories, catalogue: Catalogue, rule: ItemRule
) -> _Candidates:  # fmt: skip
    of, place = np.nonzero(generated.codes >= 0)
    code = generated.codes[of, place].astype(np.int64)
    sizes = catalogue.code_offsets[code + 1] - catalogue.code_offsets[code]
    owner = np.repeat(np.arange(len(code)), sizes)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    item = catalogue.items_by_code[catalogue.code_offsets[code][owner] + within]
    own = _own(histories, rule.half_life_days, of[owner], item)
    popular = catalogue.popularity[item].astype(np.float64) + rule.unseen
    weight = rule.prior * popular / _sums(popular, owner, len(code))[owner] + own
    chance = weight / (rule.prior + _sums(own, owner, len(code)))[owner]
    return _Candidates(of[owner], place[owner], owner, item, chance)


def _own(
    histories: UserHistories, half_life_days: float, user: NDArray[np.int64], item: NDArray[np.int32]
) -> NDArray[np.float64]:  # fmt: skip
    """How often each user took each item, every time by its age, shape of ``user`` and ``item``."""
    if not len(histories.item):
        return np.zeros(len(user))
    age = (histories.now[histories.user] - histories.time) / DAY
    items = 1 + max(int(item.max(initial=0)), int(histories.item.max()))
    keys, inverse = np.unique(histories.user * items + histories.item, return_inverse=True)
    taken = np.bincount(inverse, weights=0.5 ** (age / half_life_days), minlength=len(keys))
    wanted = user * items + item
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[place] == wanted, taken[place], 0.0)


def _sums(values: NDArray[np.float64], owner: NDArray[np.int64], owners: int) -> NDArray[np.float64]:
    return np.bincount(owner, weights=values, minlength=owners).astype(np.float64)


def _rank(sorted_groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Place of each row within its group, for rows sorted by group."""
    return np.arange(len(sorted_groups)) - np.searchsorted(sorted_groups, sorted_groups)
