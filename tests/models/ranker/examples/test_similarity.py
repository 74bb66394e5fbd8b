from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.ranker.examples.found import MOST_SIMILAR
from models.ranker.examples.search import search
from models.ranker.examples.similarity import behaviour, similarity, similarity_measures
from models.ranker.examples.targets import HOUR
from tests.models.ranker.examples.test_targets import small_index
from tests.search_indexes import asked


def by_hand(scores: list[float]) -> list[float]:
    best = sorted(scores, reverse=True)
    tops = [sum(best[:k]) / len(best[:k]) for k in (1, 5, 50)]
    return [*tops, sum(scores) / len(scores)]


def test_measures_are_those_of_the_visible_events() -> None:
    draw = np.random.default_rng(0)
    history, targets = (draw.normal(size=(n, 8)).astype(np.float32) for n in (130, 40))
    visible = draw.integers(0, 131, 40)
    visible[:3] = 0, 3, 130
    _, best = search(targets, visible, history, MOST_SIMILAR)
    found = similarity_measures(targets, visible, history, best)
    for row in range(40):
        scores = (history[: visible[row]] @ targets[row]).tolist()
        np.testing.assert_allclose(found[row], by_hand(scores) if scores else [0] * 4, rtol=1e-4, atol=1e-6)


def test_later_events_and_other_targets_change_no_bit() -> None:
    draw = np.random.default_rng(1)
    history, targets = (draw.normal(size=(n, 48)).astype(np.float32) for n in (700, 500))
    visible = draw.integers(0, 600, 500)
    _, best = search(targets, visible, history, MOST_SIMILAR)
    whole = similarity_measures(targets, visible, history, best)
    for rows in (slice(0, 1), slice(7, 9), slice(169, 173), slice(300, 500)):
        part = similarity_measures(targets[rows], visible[rows], history[:600], best[rows])
        assert np.array_equal(whole[rows], part)


def test_a_target_sees_the_newest_vectors_fitted_before_it() -> None:
    known = small_index()  # fits until the hours 2 and 4
    targets, history = np.array([1, 1, 1, 1, 1]), np.array([0, 2])
    times = np.array([2 * HOUR - 1, 2 * HOUR, 4 * HOUR - 1, 4 * HOUR, 9 * HOUR])
    visible = np.array([2, 2, 2, 2, 2])
    found = behaviour(asked(known, targets, history, visible=visible, times=times))
    assert not found[0].any()
    for rows, number in ((slice(1, 3), 0), (slice(3, 5), 1)):
        views = [vectors[number] for vectors in (known.behaviour_coarse, known.behaviour_fine)]
        measures = [by_hand((vectors[[0, 2]] @ vectors[1]).tolist()) for vectors in views]
        np.testing.assert_allclose(found[rows], [measures[0] + measures[1]] * 2, rtol=1e-5)
    arrays = [name for name in vars(known) if name.startswith("behaviour")]
    none = replace(known, **{name: getattr(known, name)[:0] for name in arrays})
    assert not behaviour(asked(none, targets, history, visible=visible, times=times)).any()


def test_similarity_is_by_the_search_and_by_the_text_embeddings() -> None:
    known = small_index()
    targets, history, visible = np.array([1, 3]), np.array([0, 2, 4]), np.array([3, 1])
    found = similarity(asked(known, targets, history, visible=visible))
    for row, (target, upto) in enumerate(zip(targets, visible, strict=True)):
        views = (known.search_embeddings, known.text_embeddings)
        expected = [by_hand((vectors[history[:upto]] @ vectors[target]).tolist()) for vectors in views]
        np.testing.assert_allclose(found[row], expected[0] + expected[1], rtol=1e-5)
    alike = replace(known, text_embeddings=known.text_embeddings[:0])
    twice = similarity(asked(alike, targets, history, visible=visible))
    assert np.array_equal(twice, np.concatenate([found[:, :4]] * 2, axis=1))
