"""Tests of ``generation.pattern``: allowed tokens lead to matches, and no match is excluded."""

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

# Python's own engine defines what a match is.
EXPRESSIONS = [
    "", "a", "a|ab", "^a|b$", "(^a|^b)c?", "(?i:S)on", "(?a:\\w)*", "[^a-z ]", r"[\s\dx]+",
    "a{2,5}?", "[A-Z][a-z]{3,8}son", "(a|b)*abb", ".{0,30}x.{0,10}", "^abc$",
    "(foo|ban|son)", "a||b", "[^a]", ".*", "a.", "(?s).a", "(?i)son", "é|a", "a\n*", "(ab)+( a)?",
    r"\w+ and \w+", "[ab]{0,3}", "[a-d]+( [a-d]+){1,2}\\.?",
]  # fmt: skip


def written(pattern, tokenizer, length, seed):
    """Choose evenly among allowed tokens until the text is over."""
    rng = random.Random(seed)
    text, state, spelling = "", pattern.start, False
    for left in range(length, 0, -1):
        allowed = np.flatnonzero(pattern.allowed(state, left, spelling=spelling))
        if not len(allowed):  # a match that can't continue
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
def test_allowed_tokens_end_with_a_match(tokenizer, expression):
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
    """A token is excluded only if no match of the remaining length begins with it."""
    pattern = Pattern(expression, CHARS)
    after, reach = pattern.after(pattern.start), Reach(pattern)
    for left in range(1, 10):
        allowed = pattern.allowed(pattern.start, left)
        for token_id in CHARS.character_ids.tolist():
            assert bool(allowed[token_id]) == reach.within(int(after[token_id]), left - 1)


class Reach:
    """Finds by enumeration which states lead to a match within a number of characters."""

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
    ("expression", "unsupported"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back-references"),
        (r"(?i)(a)\1", "back-references"),
        (r"\ba", "word boundaries"),
        (r"(?m)\ba", "word boundaries"),
        ("(?m)^a", "multi-line anchors"),
        ("a++", "possessive quantifiers"),
        ("(?>a)b", "atomic groups"),
        ("(a)?(?(1)b)", "conditionals"),
    ],
)
def test_what_has_no_automaton_is_refused(expression, unsupported, sentence):
    with pytest.raises(UsageError) as caught:
        Pattern(expression, CHARS)
    sentence(caught.value, f"'{expression}'", unsupported)


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
    sentence(caught.value, "`match`", repr(expression), reason, "regular expression")


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
def test_an_automaton_of_exponential_size_is_built_lazily(expression):
    pattern = Pattern(expression, CHARS)
    text = written(pattern, CHARS, 400, seed=1)
    assert re.fullmatch(expression, text)


def test_a_prompt_can_have_unknown_characters():
    pattern = Pattern("josé[a-z]*", CHARS)
    assert pattern.matches(pattern.read("josé"))
    assert not pattern.is_alive(pattern.read("josê"))


@pytest.mark.parametrize("expression", [r"\d", "[а-я]+", "aQ", "[^\\s\\S]", "a^b", "a$b"])
def test_no_text_leads_from_unwritable_characters_to_a_match(expression):
    pattern = Pattern(expression, CHARS)
    assert not pattern.is_alive(pattern.start)
    assert not pattern.allowed(pattern.start, 100).any()


def test_a_large_vocabulary_gives_the_same_states_as_a_small_one(monkeypatch):
    """The result is the same when the cache has to be emptied."""
    whole = Pattern("[a-d]+( [a-d]+)*", WORDS)
    monkeypatch.setattr("charlstm.generation.pattern._CACHED_NUMBERS", 1)
    small = Pattern("[a-d]+( [a-d]+)*", WORDS)
    for text in ("", "a", "ab ", "ab b"):
        state = whole.read(text)
        np.testing.assert_array_equal(whole.after(state), small.after(state))
        expected = [whole.read(piece, state) for piece in WORDS.pieces[4:]]
        assert small.after(state)[4:].tolist() == expected
