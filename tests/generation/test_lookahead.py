"""Tests of ``generation.lookahead``: for a chain, values equal those of an enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from charlstm.generation import lookahead
from charlstm.generation.lookahead import Lookahead
from charlstm.generation.pattern import Pattern
from charlstm.generation.token_chain import token_chain
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.char import CharTokenizer
from tests.models import WORDS, MarkovEngine, model_of
from tests.oracles import end_of_match

CHARS = CharTokenizer(tuple("ab."))
PATTERNS = ["ab.b", "[ab]*a", "[ab]{3}", "(ab|ba.)*", r"[^a]*\.[^.]", "([ab]+)+b.", "(a|ab)(b|.)*"]


def values_of(expression, tokenizer=CHARS, engine=None, length=30):
    chain = token_chain(engine or MarkovEngine(tokenizer.vocab_size), tokenizer, 1.0, ends=True)
    pattern = Pattern(expression, tokenizer)
    return pattern, chain, Lookahead(pattern, chain, WordEdges(tokenizer), length)


def value(pattern, chain, expression, text, left):
    """Return the value of a text, by trying all continuations."""
    state = pattern.read(text)
    chances = chain.probabilities[CHARS.encode(text)[-1]]
    total = 0.0
    if pattern.matches(state):
        total = end_of_match(CHARS, expression, text, chances, at_once=False) if left else 1.0
    if left and pattern.is_alive(state):
        for index in CHARS.character_ids.tolist():
            longer = text + CHARS.pieces[index]
            total += chances[index] * value(pattern, chain, expression, longer, left - 1)
    return total


@pytest.mark.parametrize("expression", PATTERNS)
def test_values_equal_those_of_enumeration(expression):
    pattern, chain, values = values_of(expression)
    for left, text in product([0, 1, 3], ["", "a", "ab", "ab.", "bb"]):
        found = np.exp(values.logs(pattern.read(text), left, spelling=False))
        for index in CHARS.character_ids.tolist():
            expected = value(pattern, chain, expression, text + CHARS.pieces[index], left)
            assert found[index] == pytest.approx(expected, rel=1e-3, abs=1e-9)


@pytest.mark.parametrize("expression", PATTERNS)
def test_nodes_are_worth_about_what_states_are(monkeypatch, expression):
    """With too many states, values are above 0 if a match can follow, and at most 1."""
    pattern, _, exact = values_of(expression)
    monkeypatch.setattr(lookahead, "_MOST_STATES", 1)
    _, _, rough = values_of(expression)
    for text in ("", "a", "ab", "bb"):
        state = pattern.read(text)
        states, nodes = (each.logs(state, 9, spelling=False) for each in (exact, rough))
        alive = pattern.are_alive(pattern.after(state))
        assert (np.abs(states - nodes)[alive][3:] < 5).all()
        assert (nodes <= 0).all()


def test_what_is_begun_is_worth_more_than_beginning_again():
    pattern, _, values = values_of(r"[^.]*bab[^.]*\.")
    a, b, _ = CHARS.character_ids.tolist()
    for left in (2, 4, 30):
        found = values.logs(pattern.read("ba"), left, spelling=False)
        assert found[b] > found[a]


@pytest.mark.parametrize("most", [4096, 1])
def test_words_and_spelled_words_lead_to_a_match(monkeypatch, most):
    monkeypatch.setattr(lookahead, "_MOST_STATES", most)
    pattern, _, values = values_of("the dog .*", WORDS, model_of(WORDS))
    before = pattern.read("the")
    whole = values.logs(before, 20, spelling=False)
    assert whole[WORDS.pieces.index(" dog")] == max(whole[4:])
    spelled = values.logs(before, 20, spelling=True)
    assert spelled[WORDS.pieces.index(" ")] > spelled[WORDS.pieces.index("d")]
    # A word that is spelled to the end of a match ends with END_SPELLING.
    pattern, _, values = values_of("[a-z]{3}", WORDS, model_of(WORDS))
    assert values.logs(pattern.read("ca"), 9, spelling=True)[WORDS.pieces.index("t")] > -20


def test_a_state_that_no_text_comes_to_is_taken_up():
    """This happens after a prompt with an unknown character."""
    pattern, _, values = values_of("(É|a)b")
    values.logs(pattern.start, 9, spelling=False)
    found = values.logs(pattern.read("É"), 9, spelling=False)
    _, b, _ = CHARS.character_ids.tolist()
    assert found[b] == max(found[2:])


def test_a_pattern_that_is_too_large_has_no_values(monkeypatch):
    monkeypatch.setattr(lookahead, "_MOST_STATES", 1)
    monkeypatch.setattr(lookahead, "_MOST_NODES_TABLE", 10)
    pattern, _, values = values_of("(ab|ba.)*")
    assert not values.logs(pattern.start, 9, spelling=False).any()


def test_the_cache_can_be_emptied(monkeypatch):
    pattern, _, whole = values_of("(ab|ba.)*")
    monkeypatch.setattr(lookahead, "_CACHED_NUMBERS", 1)
    _, _, small = values_of("(ab|ba.)*")
    for text in ("", "a", "ba", "a"):
        state = pattern.read(text)
        expected = whole.logs(state, 9, spelling=False)
        np.testing.assert_array_equal(small.logs(state, 9, spelling=False), expected)
