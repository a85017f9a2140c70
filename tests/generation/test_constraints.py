"""Tests of ``generation.constraints``, compared with an enumeration of all short texts."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.errors import UsageError
from charlstm.generation.constraints import Constraints
from charlstm.generation.unread import Ways
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.messages import assert_names
from tests.models import subwords
from tests.oracles import is_well_spelled

CHARS = CharTokenizer(tuple("ab "))
WORDS = WordTokenizer((*"abcdgik n", " king", " kind", " a", "ab", "king", " kin"))
PIECES = subwords("abcdgik n", " k", "in", " kin", "ab", "nd", "abk")
SPELLED = Ways(after={BEGIN_SPELLING: Ways()})  # as likely as a token
TEXTS = st.text("ab ", min_size=1, max_size=3)
LEVELS = pytest.mark.parametrize(
    "tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"]
)


def possible(added):
    return np.flatnonzero(added > -np.inf).tolist()


def walked(constraints, state, token_ids):
    """Take tokens as long as each of them may follow, and return them."""
    taken = []
    for written, token_id in enumerate(token_ids):
        if state is not None:
            if token_id not in possible(constraints.adjustment(state, written)):
                break
            state = constraints.after(state, token_id)
        taken.append(token_id)
    return taken


def texts_of(constraints, tokenizer, state, length, required):
    """Return all texts of a number of tokens, without the forced prefix."""
    token_ids = [i for i in range(tokenizer.vocab_size) if i not in (END_OF_DOCUMENT, UNKNOWN)]
    written = {
        tuple(walked(constraints, state, each)) for each in product(token_ids, repeat=length)
    }
    return {tokenizer.decode(each)[len(required) :] for each in written}


# No constraints


@LEVELS
def test_there_is_no_state_without_constraints(tokenizer):
    assert Constraints(SampleConfig(), tokenizer).start("ab", "") is None


# Forced prefixes


@pytest.mark.parametrize(
    ("required", "whole"),
    [(" kin", [" king", " kind", " kin"]), (" ", [" ", " king", " kind", " a", " kin"]),
     ("k", ["k", "king"]), (" ak", [])],
)  # fmt: skip
def test_a_word_continues_as_a_token_or_is_spelled(required, whole):
    constraints = Constraints(SampleConfig(), WORDS)
    state = constraints.start("a", required, SPELLED)
    found = possible(constraints.adjustment(state, 0))
    assert found[0] == BEGIN_SPELLING
    assert sorted(WORDS.pieces[token_id] for token_id in found[1:]) == sorted(whole)
    for token_id in found[1:]:
        assert constraints.after(state, token_id) is None


@given(st.text("abk ", min_size=1, max_size=5))
def test_a_spelled_word_begins_with_the_forced_prefix(required):
    constraints = Constraints(SampleConfig(), WORDS)
    state = constraints.after(constraints.start("", required), BEGIN_SPELLING)
    for written, character in enumerate(required, 1):
        (only,) = possible(constraints.adjustment(state, written))
        assert WORDS.pieces[only] == character
        state = constraints.after(state, only)
    assert state is None  # more letters, the end of the word: all is allowed


# Bans and biases


@given(
    prompt=st.text("ab ", max_size=4),
    ban=st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
    length=st.integers(1, 4),
)
def test_all_texts_without_a_banned_text_can_be_written(prompt, ban, length):
    """This includes the border between prompt and text, but not texts within the prompt."""
    constraints = Constraints(SampleConfig(ban=ban), CHARS)
    written = texts_of(constraints, CHARS, constraints.start(prompt, ""), length, "")
    expected = {
        text
        for n in range(length + 1)
        for text in map("".join, product("ab ", repeat=n))
        if not any(occurs_after(banned, prompt, text) for banned in ban)
    }
    longest = {text for text in expected if len(text) == length}
    assert {text for text in written if len(text) == length} == longest
    assert written <= expected


def occurs_after(banned, prompt, text):
    whole = prompt + text
    ends = (match.start() + len(banned) for match in re.finditer(f"(?={re.escape(banned)})", whole))
    return any(end > len(prompt) for end in ends)


def is_spelling(token_ids):
    marks = [each for each in token_ids if each in (BEGIN_SPELLING, END_SPELLING)]
    return marks[-1:] == [BEGIN_SPELLING]


@given(
    ban=st.sampled_from([("ab",), ("king",), ("a a", "aa"), (" kin",), ("n",), ("ga", "gab")]),
    drawn=st.lists(st.integers(2, WORDS.vocab_size - 1), max_size=9),
    required=st.sampled_from(["", " ", " k", " kin"]),
)
def test_a_banned_text_is_found_across_tokens(ban, drawn, required):
    """The token that completes it is excluded. The forced prefix may contain it."""
    prompt = "a"
    constraints = Constraints(SampleConfig(ban=ban), WORDS)
    state = constraints.start(prompt, required)
    taken = walked(constraints, state, drawn)
    text = WORDS.decode(taken)
    assert text.startswith(required) or required.startswith(text)
    given_part = prompt + required
    assert not any(occurs_after(each, given_part, text[len(required) :]) for each in ban)
    if len(taken) < len(drawn):
        refused = WORDS.decode([*taken, drawn[len(taken)]])
        leads = refused.startswith(required) or required.startswith(refused)
        banned = any(occurs_after(each, given_part, refused[len(required) :]) for each in ban)
        ends_none = drawn[len(taken)] == END_SPELLING and not is_spelling(taken)
        spelled = is_well_spelled(WORDS, [*taken, drawn[len(taken)]])
        assert banned or not leads or len(text) < len(required) or not spelled or ends_none


@given(
    biases=st.dictionaries(TEXTS, st.integers(-8, 8).map(float), min_size=1, max_size=3),
    drawn=st.lists(st.sampled_from([2, 3, 4]), max_size=6),
    prompt=st.text("ab ", max_size=3),
)
def test_a_bias_is_added_to_the_tokens_that_complete_its_text(biases, drawn, prompt):
    constraints = Constraints(SampleConfig(bias=tuple(biases.items())), CHARS)
    state = constraints.start(prompt, "")
    for token_id in drawn:
        state = constraints.after(state, token_id)
    text = prompt + CHARS.decode(drawn)
    expected = [
        sum(value for each, value in biases.items() if piece and (text + piece).endswith(each))
        for piece in CHARS.pieces
    ]
    np.testing.assert_array_equal(constraints.adjustment(state, 0), expected)


def test_a_ban_and_a_bias_of_the_same_text_are_a_ban():
    constraints = Constraints(SampleConfig(ban=("a",), bias=(("a", 5.0),)), CHARS)
    added = constraints.adjustment(constraints.start("", ""), 0)
    assert possible(added) == [END_OF_DOCUMENT, UNKNOWN, *CHARS.encode("b ").tolist()]


def test_the_cache_can_be_emptied(monkeypatch):
    config = SampleConfig(bias=(("ab", 2.0), ("b", 1.0)))
    whole = Constraints(config, CHARS)
    monkeypatch.setattr("charlstm.generation.constraints._CACHED_NUMBERS", 1)
    small = Constraints(config, CHARS)
    for prompt in ("", "a", "ba", "a"):
        state = whole.start(prompt, "")
        np.testing.assert_array_equal(whole.adjustment(state, 0), small.adjustment(state, 0))


# Patterns


def continuation(constraints, tokenizer, state, length, rng):
    """Return a text that is sampled evenly from the tokens that may follow."""
    text = ""
    for written in range(length):
        token_id = int(rng.choice(possible(constraints.adjustment(state, written))))
        if token_id == END_OF_DOCUMENT:
            break
        text += tokenizer.pieces[token_id]
        state = constraints.after(state, token_id)
    return text


@LEVELS
@pytest.mark.parametrize("expression", ["a(b| )*", "(ab){1,2}", "[ab ]{0,2}b", "", "a"])
@pytest.mark.parametrize("prompt", ["", "a"])
def test_allowed_tokens_end_with_a_match(tokenizer, expression, prompt):
    """A text of allowed tokens is a match when no token, or only the end, may follow."""
    constraints = Constraints(SampleConfig(match=expression, length=4), tokenizer)
    try:
        state = constraints.start(prompt, "")
    except UsageError:
        assert not any(
            re.fullmatch(expression, prompt + "".join(more))
            for n in range(5)
            for more in product("ab ", repeat=n)
        )
        return
    rng = np.random.default_rng(1)
    for _ in range(40):
        text = prompt + continuation(constraints, tokenizer, state, 4, rng)
        assert re.fullmatch(expression, text)


@pytest.mark.parametrize("length", range(1, 16))
@pytest.mark.parametrize("expression", ["a (kind|king and)", "a (kid|b)+", "a k[in]+d a"])
@pytest.mark.parametrize("required", [" k", " ki", " "])
def test_a_half_typed_word_ends_with_a_match_or_is_refused(length, expression, required):
    """This is true for tokens and spelled words and any number of remaining tokens."""
    tokenizer = WordTokenizer((*"abcdgik n", " king", " kind"))
    constraints = Constraints(SampleConfig(match=expression, length=length), tokenizer)
    try:
        state = constraints.start("a", required, SPELLED)
    except UsageError as error:
        assert_names(error, length, "`length`")
        return
    rng = np.random.default_rng(length)
    for _ in range(30):
        text = "a" + continuation(constraints, tokenizer, state, length, rng)
        assert re.fullmatch(expression, text)
        assert text.startswith("a" + required)


def refusal(config, tokenizer, prompt, required=""):
    with pytest.raises(UsageError) as caught:
        Constraints(config, tokenizer).start(prompt, required)
    return str(caught.value)


def test_a_prompt_that_leads_to_no_match_is_refused(sentence):
    sentence(refusal(SampleConfig(match="a+"), CHARS, "ab"), "'a+'", "'ab'", "prompt")
    sentence(refusal(SampleConfig(match="a+"), WORDS, "a", " kin"), "'a+'", "'a kin'")


def test_a_long_prompt_is_not_repeated_as_a_whole():
    message = refusal(SampleConfig(match="b+"), CHARS, "a" * 10**6)
    assert f"the prompt '…{'a' * 80}'." in message
    assert len(message) < 300


def test_a_length_that_is_too_short_is_refused(sentence):
    sentence(
        refusal(SampleConfig(match="a{7}", length=4), CHARS, "aa"),
        "'a{7}'",
        "5 tokens",
        4,
        "`length`",
    )
    config = SampleConfig(match="a kid", length=4)
    sentence(refusal(config, WORDS, "a", " k"), "'a kid'", "6 tokens", 4, "`length`")


@pytest.mark.parametrize("prompt", ["", "a"])
def test_a_pattern_that_can_never_match_is_refused(prompt, sentence):
    sentence(refusal(SampleConfig(match="a[0-9]"), CHARS, prompt), "'a[0-9]'", "'[0-9]'")
    sentence(refusal(SampleConfig(match="aQ|bΩ"), CHARS, prompt), "'aQ|bΩ'", "'Q'", "'Ω'")
    sentence(refusal(SampleConfig(match="a$b"), CHARS, prompt), "'a$b'")


@pytest.mark.parametrize(("required", "needed"), [(" kin", 1), (" k", 1), ("", 5)])
def test_a_match_may_need_every_token(required, needed):
    config = SampleConfig(match="a king", length=needed)
    state = Constraints(config, WORDS).start("a", required)
    assert state.forced_prefix == required


def test_spelled_words_begin_and_end_in_turn():
    constraints = Constraints(SampleConfig(match="[ab]+", length=9), WORDS)
    state = constraints.start("", "")
    assert END_SPELLING not in possible(constraints.adjustment(state, 0))
    state = constraints.after(state, BEGIN_SPELLING)
    assert BEGIN_SPELLING not in possible(constraints.adjustment(state, 1))
