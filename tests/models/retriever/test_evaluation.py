import numpy as np
import pytest
from scipy import sparse

from models.retriever.evaluation import measured, of_groups, paired, part_of, without

RANKED = np.array([[3, 1, 0, 4], [2, 0, 5, -1], [1, 2, 3, 4]], np.int32)
TRUTH = sparse.csr_matrix(np.array([[1, 1, 0, 0, 0, 0], [0, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]], np.float32))


def test_hand_computed_case():
    found = measured(RANKED, TRUTH, at=(2, 3)).means
    assert found["recall@2"] == pytest.approx((1 / 2 + 0) / 2)
    assert found["recall@3"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["hit@2"] == pytest.approx(1 / 2)
    best = 1 + 1 / np.log2(3)
    assert found["ndcg@3"] == pytest.approx(((1 / np.log2(3) + 1 / 2) / best + (1 / 2) / best) / 2)


def test_items_of_one_group_are_one_hit():
    code = np.array([0, 0, 0, 1, 2, 2], np.int32)
    np.testing.assert_array_equal(of_groups(TRUTH, code, 3).toarray(), [[1, 0, 0], [0, 1, 1], [0, 0, 0]])


def test_new_things_are_ranked_and_counted_alone():
    held = sparse.csr_matrix(np.array([[0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0]], np.float32))
    np.testing.assert_array_equal(without(RANKED, held, 3), [[3, 0, 4], [2, 0, -1], [2, 3, 4]])
    new = part_of(TRUTH, held, inside=False)
    np.testing.assert_array_equal(new.toarray(), [[1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 0, 0], [0] * 6])
    cold = part_of(TRUTH, np.arange(6) > 2, inside=True)
    np.testing.assert_array_equal(cold.toarray(), [[0] * 6, [0, 0, 0, 1, 0, 1], [0] * 6])


def test_the_interval_of_a_paired_difference():
    draw = np.random.default_rng(0)
    theirs = draw.random(400)
    found = paired(theirs + 0.05 + 0.01 * draw.standard_normal(400), theirs)
    assert found.low < found.mean < found.high
    assert found.low > 0.045
    assert found.high < 0.055
    assert np.isnan(paired(np.zeros(0), np.zeros(0)).mean)
