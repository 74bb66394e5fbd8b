from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.llm.domain_tokens import DomainTokens
from models.llm.item_tokens import Vocabulary, tokens_of
from models.llm.language_model import load_tokenizer

MILK = ["whole milk 1 gal", "skim milk 1 gal", "whole milk 2 gal"]


@pytest.fixture(scope="module")
def tokenizer(tiny: Path) -> Any:
    return load_tokenizer(tiny)


def grown(before: DomainTokens, texts: list[str], values: list[str] | None = None, most: int = 100) -> DomainTokens:
    return before.grown(sorted(texts * 6), values or [], min_frequency=5, most=most)


def test_terms_cross_words_and_whole_values_are_tokens() -> None:
    made = grown(DomainTokens(), MILK, ["dairy", "x"])
    assert made.terms[0] == "dairy"
    assert any(" " in term.strip() for term in made.terms), "no split into words"
    assert "x" not in made.terms
    assert all(len(term.strip()) >= 3 for term in made.terms)
    row = 1 + made.terms.index("whole milk 1 gal")
    assert made.covering("whole milk 1 gal", [0, 6, 11, 13]).tolist() == [row] * 4
    part = made.covering("whole milk 9 gal", [0, 6, 11, 13])
    assert part[0] == part[1] > 0, "both words are of one term"
    assert made.terms[part[0] - 1].strip() == "whole milk"
    assert made.covering("öäü", [0, 1]).tolist() == [0, 0]
    after = made.covering("ö whole milk 9 gal", [0, 2, 8])
    assert after.tolist() == [0, part[0], part[0]], "an unknown letter moves no place"


def test_domain_tokens_only_grow() -> None:
    first = grown(DomainTokens(), MILK, ["dairy"])
    later = grown(first, [*MILK, "red apples", "green apples"], ["fruit", "dairy"])
    assert list(later.terms[: len(first.terms)]) == list(first.terms)
    assert list(later.merges[: len(first.merges)]) == list(first.merges)
    assert {"fruit", "red apples"} <= set(later.terms)
    assert len(set(later.terms)) == len(later.terms)
    assert later.covering("red apples", [0]) > len(first.terms)
    assert grown(later, [*MILK, "red apples"], most=len(later.terms)).terms == later.terms, "a limit stops the growth"


def test_base_tokens_only_grow_and_are_projected_as_the_first_ones_are() -> None:
    draw = np.random.default_rng(0)
    embedding = draw.normal(size=(50, 6)).astype(np.float32) * np.array([9, 5, 3, 1, 1, 1], np.float32)
    first = Vocabulary().with_ids(np.array([7, 3, 40]), embedding[[7, 3, 40]])
    whole = Vocabulary().with_ids(np.arange(40), embedding[:40])
    later = whole.with_ids(np.array([45, 44]), embedding[[45, 44]])
    assert later.vectors.shape == (43, 6)
    np.testing.assert_array_equal(later.vectors[:41], whole.vectors)
    np.testing.assert_allclose(later.vectors[41], (embedding[45] - whole.mean) @ whole.components.T, rtol=1e-5)
    spread = whole.vectors[1:].std(0)
    assert (np.diff(spread) <= 1e-5).all(), "the first columns tell most"
    distances = np.linalg.norm(embedding[3] - embedding[9])
    np.testing.assert_allclose(np.linalg.norm(whole.vectors[4] - whole.vectors[10]), distances, rtol=1e-4)
    assert first.rows_of(np.array([[40, 7, -1], [3, -1, -1]])).tolist() == [[3, 1, 0], [2, 0, 0]]
    assert whole.lacking(np.array([3, 45, 41])).tolist() == [41, 45]


def test_a_vocabulary_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = Vocabulary(fields=["title", "brand"], domain=grown(DomainTokens(), MILK)).with_ids(
        np.array([5, 2]), np.eye(2, 4, dtype=np.float32)
    )
    made.save(tmp_path)
    again = Vocabulary.load(tmp_path)
    assert (again.fields, again.domain) == (made.fields, made.domain)
    for name in ("ids", "mean", "components", "vectors"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    assert again.with_fields(["title", "age", "category"]).fields == ["title", "brand", "category", "age"]


def test_tokens_of_a_content_are_its_own(tokenizer: Any) -> None:
    domain, fields = grown(DomainTokens(), MILK, ["dairy"]), ["title", "category", "bought with"]
    contents = [
        [("bought with", "dairy; bread"), ("title", "whole milk 1 gal")],
        [],
        [("title", "牛乳"), ("category", "dairy"), ("unknown", "dairy")],
        [("title", "a" * 200), ("category", "dairy")],
    ]
    tokens = tokens_of(tokenizer, domain, fields, contents, most=12)
    assert tokens.shape == (4, 3, 12)
    for number, content in enumerate(contents):
        alone = tokens_of(tokenizer, domain, fields, [content], most=12)
        np.testing.assert_array_equal(tokens[number], alone[0])
    ids, covered, of_field = tokens[0]
    there = ids >= 0
    assert tokenizer.decode(ids[there]) == " whole milk 1 gal dairy bread"
    assert of_field[there].tolist() == sorted(of_field[there].tolist()), "the title first"
    row = 1 + list(domain.terms).index("dairy")
    assert (covered == row).sum() == len(tokenizer(" dairy", add_special_tokens=False)["input_ids"])
    assert (tokens[1, 0] == -1).all()
    assert not tokens[1, 1:].any()
    assert "dairy" in tokenizer.decode(tokens[2, 0][tokens[2, 0] >= 0])
    assert (tokens[3, 0] >= 0).all(), "cut at the most tokens"
    assert (tokens[3, 2] == 1).all()
    assert not tokens[:, 1:][np.broadcast_to(tokens[:, :1] < 0, tokens[:, 1:].shape)].any(), "padding has rows 0"
