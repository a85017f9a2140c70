"""Tests of ``generation.lookahead``: of a chain, the values are what trying all texts gives."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.generation import lookahead
from charlstm.generation.lookahead import WITHIN_WORD, Lookahead
from charlstm.generation.pattern import Pattern
from charlstm.generation.token_chain import token_chain
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.tokenizer.char import CharTokenizer
from tests.models import WORDS, MarkovEngine, model_of
from tests.oracles import end_of_match

CHARS = CharTokenizer(tuple("ab."))
# Patterns that a text matches in one way only, and the characters that none of their parts reads.
PATTERNS = [
    ("ab.b", ""),
    ("[ab]*a", "."),
    ("[ab]{3}", "."),
    ("(ab|ba.)*", ""),
    (r"[^a]*\.[^.]", ""),
]


def values_of(expression, tokenizer=CHARS, engine=None, length=30):
    chain = token_chain(engine or MarkovEngine(tokenizer.vocab_size), tokenizer, 1.0, ends=True)
    pattern = Pattern(expression, tokenizer)
    return pattern, chain, Lookahead(pattern, chain, WordEdges(tokenizer), length)


@pytest.mark.parametrize(("expression", "unread"), PATTERNS)
@pytest.mark.parametrize("left", [0, 1, 2, 5])
def test_values_are_those_of_trying(expression, unread, left):
    """A match counts by what speaks for its end: at once exactly, later as for all its parts."""
    pattern, chain, values = values_of(expression)

    def value(text, left, *, at_once=True):
        state = pattern.read(text)
        chances = chain.probabilities[CHARS.encode(text)[-1]]
        total = 0.0
        if pattern.matches(state) and left and at_once:
            total += end_of_match(CHARS, expression, text, chances, at_once=False)
        elif pattern.matches(state) and left:
            end = chances[END_OF_DOCUMENT] + chances[CHARS.encode(unread)].sum()
            total += WITHIN_WORD + (1 - WITHIN_WORD) * end
        elif pattern.matches(state):
            total = 1.0
        if left and pattern.is_alive(state):
            for index in CHARS.character_ids.tolist():
                longer = text + CHARS.pieces[index]
                total += chances[index] * value(longer, left - 1, at_once=False)
        return total

    for text in ("", "a", "ab", "ab.", "bb", "a.b"):
        found = np.exp(values.logs(pattern.read(text), left, spelling=False))
        for index in CHARS.character_ids.tolist():
            expected = value(text + CHARS.pieces[index], left)
            assert found[index] == pytest.approx(min(1, expected), rel=0.01, abs=1e-6)


def test_what_is_begun_is_worth_more_than_beginning_again():
    pattern, _, values = values_of(r"[^.]*bab[^.]*\.")
    a, b, _ = CHARS.character_ids.tolist()
    for left in (2, 4, 30):
        found = values.logs(pattern.read("ba"), left, spelling=False)
        assert found[b] > found[a]


def test_words_and_spelled_words_lead_to_a_match():
    pattern, _, values = values_of("the dog .*", WORDS, model_of(WORDS))
    before = pattern.read("the")
    whole = values.logs(before, 20, spelling=False)
    assert whole[WORDS.pieces.index(" dog")] == max(whole[4:])
    spelled = values.logs(before, 20, spelling=True)
    assert spelled[WORDS.pieces.index(" ")] > spelled[WORDS.pieces.index("d")]


def test_a_pattern_that_is_too_large_has_no_values(monkeypatch):
    monkeypatch.setattr(lookahead, "_MOST_TABLE", 10)
    pattern, _, values = values_of("(ab|ba.)*")
    assert not values.logs(pattern.start, 9, spelling=False).any()


def test_what_is_worked_out_once_may_be_forgotten(monkeypatch):
    pattern, _, whole = values_of("(ab|ba.)*")
    monkeypatch.setattr(lookahead, "_CACHED_NUMBERS", 1)
    _, _, small = values_of("(ab|ba.)*")
    for text in ("", "a", "ba", "a"):
        state = pattern.read(text)
        expected = whole.logs(state, 9, spelling=False)
        np.testing.assert_array_equal(small.logs(state, 9, spelling=False), expected)
