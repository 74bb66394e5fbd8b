"""Domain tokens: frequent terms of many words as one token each, and whole field values (SARM, second tokenizer)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

NONE = 0
"""Row of a token that no domain token covers."""
SHORTEST = 3
"""Fewest letters of a term; shorter merges are only steps on the way to longer ones."""
UNKNOWN = "\0"
"""Stands for a letter that no text had, so that later letters keep their places; anchors hold no control characters."""


@dataclass(frozen=True)
class DomainTokens:
    """Domain tokens. New ones come after the old ones, so that a row keeps its meaning.

    Terms are made by byte-pair encoding (BPE) over whole anchors: there is no split into words, so that a frequent
    sequence of words becomes one term.

    Attributes:
        letters: what texts are made of before any merge.
        merges: pairs that are merged into one term, in the order of merging.
        terms: texts of the domain tokens, whole field values and merged terms; the first has row 1.
    """

    letters: Sequence[str] = ()
    merges: Sequence[tuple[str, str]] = ()
    terms: Sequence[str] = ()

    @property
    def rows(self) -> int:
        """Rows of a table of domain tokens, with the row for none."""
        return 1 + len(self.terms)

    def grown(self, texts: Sequence[str], values: Iterable[str], *, min_frequency: int, most: int) -> DomainTokens:
        """The domain tokens, and those that further texts add.

        Args:
            texts: values of anchors, each as often as contents have it.
            values: whole field values that are frequent enough, most frequent first.
            min_frequency: times that a term must occur in the texts, at least.
            most: largest number of domain tokens; with more candidates, whole values come before terms.
        """
        terms = dict.fromkeys(self.terms)
        for value in values:
            if len(terms) < most and len(value) > 1:
                terms.setdefault(value)
        if len(terms) >= most:
            return DomainTokens(self.letters, self.merges, [*terms])
        letters, merges = self._merges(texts, min_frequency, most)
        for one, other in merges[len(self.merges) :]:
            if len(terms) < most and len((one + other).strip()) >= SHORTEST:
                terms.setdefault(one + other)
        return DomainTokens(letters, merges, [*terms])

    def _merges(self, texts: Sequence[str], min_frequency: int, most: int) -> tuple[list[str], list[tuple[str, str]]]:
        """Letters and merges, with those that the texts add at the end."""
        trained = Tokenizer(BPE())
        trainer = BpeTrainer(vocab_size=most + 4096, min_frequency=min_frequency, show_progress=False)
        trained.train_from_iterator(texts, trainer)
        model = json.loads(trained.to_str())["model"]
        made = {*self.letters, *(one + other for one, other in self.merges)}
        letters, merges = [*self.letters], [*self.merges]
        for letter in sorted(token for token in model["vocab"] if len(token) == 1 and token not in made):
            letters.append(letter)
            made.add(letter)
        for one, other in model["merges"]:
            if one in made and other in made and one + other not in made:
                merges.append((one, other))
                made.add(one + other)
        return letters, merges

    def covering(self, text: str, starts: Sequence[int]) -> NDArray[np.int32]:
        """Rows of the domain tokens that cover some places of a text, :data:`NONE` where none does.

        Args:
            text: an anchor's value.
            starts: places in the text, shape (n,).
        """
        if text in self._rows:
            return np.full(len(starts), self._rows[text], np.int32)
        found = np.zeros(len(text) + 1, np.int32)
        encoded = self._tokenizer.encode(text)
        for piece, (start, stop) in zip(encoded.tokens, encoded.offsets, strict=True):
            found[start:stop] = self._rows.get(piece, NONE)
        return found[np.asarray(starts, np.int64)]

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {term: 1 + number for number, term in enumerate(self.terms)}

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        tokens = [*self.letters, *(one + other for one, other in self.merges)]
        vocabulary = {token: number for number, token in enumerate([*tokens, UNKNOWN])}
        return Tokenizer(BPE(vocabulary, [(one, other) for one, other in self.merges], unk_token=UNKNOWN))
