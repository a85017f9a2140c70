"""Tests of ``generation.pattern``: what is drawn within the masks matches, and nothing is lost."""

from __future__ import annotations

import random
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import UsageError
from charlstm.generation.pattern import Pattern
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.messages import assert_names
from tests.models import subwords

CHARS = CharTokenizer(tuple("abcdnosxyz AB.\n"))
WORDS = WordTokenizer((*"abcdnosxyz AB.", "son", " and", "ban", "bands", " a"))
PIECES = subwords("abcdnosxyz AB.", "an", "and", " a", " and", "ba", "so", "son", "..")

# What a match is, Python's own engine says.
EXPRESSIONS = [
    "", "a", "a|ab", "^a|b$", "(^a|^b)c?", "(?i:S)on", "(?a:\\w)*", "[^a-z ]", r"[\s\dx]+",
    "a{2,5}?", "[A-Z][a-z]{3,8}son", "(a|b)*abb", ".{0,30}x.{0,10}", "^abc$",
    "(foo|ban|son)", "a||b", "[^a]", ".*", "a.", "(?s).a", "(?i)son", "é|a", "a\n*", "(ab)+( a)?",
    r"\w+ and \w+", "[ab]{0,3}", "[a-d]+( [a-d]+){1,2}\\.?",
]  # fmt: skip


def written(pattern, tokenizer, length, seed):
    """Draw evenly among what is allowed until the text is over."""
    rng = random.Random(seed)
    text, state, spelling = "", pattern.start, False
    for left in range(length, 0, -1):
        allowed = np.flatnonzero(pattern.allowed(state, left, spelling=spelling))
        if not len(allowed):  # a match that can't go on, at the end of what may be written
            break
        token_id = int(rng.choice(allowed.tolist()))
        if token_id == END_OF_DOCUMENT:
            break
        if tokenizer.spells and token_id in (BEGIN_SPELLING, END_SPELLING):
            assert spelling == (token_id == END_SPELLING)
            spelling = not spelling
        text += tokenizer.pieces[token_id]
        state = int(pattern.after(state)[token_id])
    assert not spelling
    return text


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_allowed_ends_with_a_match(tokenizer, expression):
    pattern = Pattern(expression, tokenizer)
    for seed in range(60):
        length = max(1, pattern.shortest(pattern.start) + seed % 12)
        text = written(pattern, tokenizer, length, seed)
        assert re.fullmatch(expression, text), text
        assert pattern.matches(pattern.read(text))


@cache
def pattern_of(expression):
    return Pattern(expression, CHARS)


@given(st.sampled_from(EXPRESSIONS), st.text("abosxn \n.A", max_size=8))
def test_the_automaton_knows_every_match(expression, text):
    pattern = pattern_of(expression)
    assert pattern.matches(pattern.read(text)) == bool(re.fullmatch(expression, text))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_short_match_can_be_written(expression):
    """A token is ruled out only if no match of the length that is left begins with it."""
    pattern = Pattern(expression, CHARS)
    after, reach = pattern.after(pattern.start), Reach(pattern)
    for left in range(1, 10):
        allowed = pattern.allowed(pattern.start, left)
        for token_id in CHARS.character_ids.tolist():
            assert bool(allowed[token_id]) == reach.within(int(after[token_id]), left - 1)


class Reach:
    """Which states lead to a match within some characters, found by trying."""

    def __init__(self, pattern):
        self.pattern, self.known = pattern, {}

    def within(self, state, left):
        if self.pattern.matches(state):
            return True
        if left == 0 or not self.pattern.is_alive(state):
            return False
        if (state, left) not in self.known:
            self.known[state, left] = False
            steps = {int(self.pattern.after(state)[i]) for i in CHARS.character_ids.tolist()}
            self.known[state, left] = any(self.within(step, left - 1) for step in steps)
        return self.known[state, left]


@pytest.mark.parametrize(
    "expression", ["(?=a)b", r"(a)\1", r"\ba", "(?m)^a", "a++", "(?>a)b", "(?<!a)b", "(a)?(?(1)b)"]
)
def test_what_has_no_automaton_is_refused(expression, sentence):
    with pytest.raises(UsageError) as caught:
        Pattern(expression, CHARS)
    sentence(
        caught.value,
        repr(expression),
        "look-around",
        "back-references",
        "word boundaries",
        "possessive groups",
    )


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("[", "unterminated character set at position 0"),
        ("(", "missing ), unterminated subpattern at position 0"),
        ("*a", "nothing to repeat at position 0"),
        ("a)|(b", "unbalanced parenthesis at position 1"),
    ],
)
def test_what_is_no_expression_is_refused(expression, reason, sentence):
    with pytest.raises(UsageError) as caught:
        Pattern(expression, CHARS)
    sentence(caught.value, repr(expression), reason, "regular expression", "Python")


@pytest.mark.parametrize("expression", ["(a{999}){999}", "(" * 5000 + "a" + ")" * 5000])
def test_what_is_too_large_is_refused(expression, sentence):
    with pytest.raises(UsageError) as caught:
        Pattern(expression, CHARS)
    assert_names(caught.value, repr(expression), "too large")
    sentence(str(caught.value).replace(repr(expression), "'PATTERN'"))


@pytest.mark.parametrize(
    "expression",
    [
        "a.{19}",
        "[A-Z].{20,}",
        ".{0,100}x.{0,40}",
        "[^x]{50,}a.{30}",
        ".*a.{40}",
        "(a|b|ab)*x.{0,300}",
    ],
)
def test_an_automaton_of_exponential_size_is_walked_without_being_built(expression):
    pattern = Pattern(expression, CHARS)
    text = written(pattern, CHARS, 400, seed=1)
    assert re.fullmatch(expression, text)


def test_a_prompt_may_have_characters_that_the_model_lacks():
    pattern = Pattern("josé[a-z]*", CHARS)
    assert pattern.matches(pattern.read("josé"))
    assert not pattern.is_alive(pattern.read("josê"))


@pytest.mark.parametrize("expression", [r"\d", "[а-я]+", "aQ", "[^\\s\\S]", "a^b", "a$b"])
def test_from_what_can_never_be_written_nothing_leads_to_a_match(expression):
    pattern = Pattern(expression, CHARS)
    assert not pattern.is_alive(pattern.start)
    assert not pattern.allowed(pattern.start, 100).any()


def test_a_large_vocabulary_is_walked_as_a_small_one(monkeypatch):
    """Also when what was found before has to be forgotten."""
    whole = Pattern("[a-d]+( [a-d]+)*", WORDS)
    monkeypatch.setattr("charlstm.generation.pattern._CACHED_NUMBERS", 1)
    small = Pattern("[a-d]+( [a-d]+)*", WORDS)
    for text in ("", "a", "ab ", "ab b"):
        state = whole.read(text)
        np.testing.assert_array_equal(whole.after(state), small.after(state))
        expected = [whole.read(piece, state) for piece in WORDS.pieces[4:]]
        assert small.after(state)[4:].tolist() == expected
