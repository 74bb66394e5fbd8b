from __future__ import annotations

import numpy as np

from models.retriever.tree import CodeTree
from tests.models.retriever.networks import catalogue


def test_nodes_are_the_distinct_prefixes_and_children_lie_together() -> None:
    codes = catalogue().codes
    tree = CodeTree.of(codes, 1000)
    for level in range(3):
        prefixes = np.unique(codes[:, : level + 1], axis=0)
        assert tree.nodes(level) == len(prefixes)
        assert np.array_equal(prefixes[tree.node[level].numpy()], codes[:, : level + 1])
        assert np.array_equal(tree.token[level].numpy(), prefixes[:, level])
        parents = np.unique(codes[:, :level], axis=0) if level else np.zeros((1, 0), int)
        for parent, (start, stop) in enumerate(zip(tree.children[level][:-1], tree.children[level][1:], strict=True)):
            assert (prefixes[start:stop, :level] == parents[parent]).all()
    assert int(tree.children[2][-1]) == len(codes)


def test_a_prefix_keeps_its_row_when_other_codes_come() -> None:
    codes = catalogue().codes
    few, every = CodeTree.of(codes[::3], 10**6), CodeTree.of(codes, 10**6)
    assert np.array_equal(few.row[2].numpy(), every.row[2].numpy()[::3])
    assert len(np.unique(every.row[2])) == len(codes)
