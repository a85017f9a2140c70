"""Tests of ``prediction.word_rules``: whatever comes next, words end where the tokenizer says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.prediction.best_first_search import Target
from charlstm.prediction.word_rules import end_shape, shape_of, word_rules
from charlstm.tokenizer.segmentation import partial_word, tokens_of

ALPHABET = (
    "abZéß1٣٠'’\u0301\u0308\u093e\u0e35\u200d\ufe0f_.,!-/:@#<&=€ \n\t\u3000中のไ한👍👩🇩🇪\u20e3"
)
EXAMPLES = (
    *("don't", "don''t", "'tis", "dogs' a", "O’Neil’s", "l'\u0301e", "https://a.de/b_c?x=1&y=22"),
    *("12,500.75", "1\ufe0f\u20e3 2", "3rd", "a1b2", "e\u0301te\u0301 x", "--- a", "?!?!", "== !="),
    *(
        "👩\u200d👩\u200d👧 ok",
        "👍👍🏽",
        "🇩🇪🇫🇷",
        "ที่นี่ ok",
        "中文。 a",
        "か\u3099の",
        "  \n\t ab",
        "\r\n",
    ),
    *("foo_bar(x)", "a\u200db", "\u0301\u0301\u0300", "''’’", "1'a", ".'a", "한글 é"),
)
TAG = re.compile("</?[A-Za-z]+>")  # predictions ignore tags in angle brackets
texts = st.text(ALPHABET, max_size=9) | st.sampled_from(EXAMPLES)
prompts = st.builds("{}{}".format, texts, st.sampled_from(["", "a", "a'", "a’", "1", "é\u0301"]))


def next_word(typed, text):
    """Return whether the next word continues ``typed``, and the end of the word in ``text``.

    The end is 0 if there is no word.
    """
    first = next(tokens_of(typed + text), "")
    if typed and len(first) > len(typed):
        return True, len(first) - len(typed)
    end = 0
    for token in tokens_of(text):
        end += len(token)
        if not token.isspace():
            return False, end
    return False, 0


def followed(typed, pieces):
    """Return the same by the rules, for a text that comes in pieces and ends the document."""
    rules = word_rules()
    tail, at, completes, last = rules.number_of(typed), 0, False, typed[-1:]
    for piece in pieces:
        effect = rules.follow(tail, shape_of(piece, last))
        if any(effect.ends):
            return completes, at - rules.spare[tail]
        completes = completes or effect.completes
        if effect.length is not None:
            return completes, at + effect.length
        tail, at, last = effect.tail, at + len(piece), piece[-1]
    effect = rules.follow(tail, end_shape())
    return completes, at - rules.spare[tail] if any(effect.ends) else 0


@settings(max_examples=300)
@given(prompts, texts)
def test_a_word_ends_where_the_token_ends(prompt, text):
    typed = partial_word(prompt).typed
    if not TAG.search(typed + text):
        assert followed(typed, text) == next_word(typed, text)


@settings(max_examples=300)
@given(prompts, st.lists(texts.filter(bool), max_size=4))
def test_a_piece_does_the_same_as_its_characters(prompt, pieces):
    typed, text = partial_word(prompt).typed, "".join(pieces)
    if not TAG.search(typed + text):
        assert followed(typed, pieces) == next_word(typed, text)


@given(prompts, texts.filter(bool))
def test_a_search_leaves_out_the_words_that_it_does_not_look_for(prompt, text):
    """The search for completions and the search for next words share nothing and miss nothing."""
    typed = partial_word(prompt).typed
    rules = word_rules()
    effect = rules.follow(rules.number_of(typed), shape_of(text, typed[-1:]))
    wanted = [
        weight > 0 or end > 0 for weight, end in zip(effect.weights, effect.ends, strict=True)
    ]
    assert wanted[Target.ALL]
    if not typed:
        assert all(wanted)
    elif effect.may_complete:
        assert all(wanted)
        words = {next_word(typed, text + character)[0] for character in "a1. "}
        assert words == {False, True}
    else:
        assert wanted[Target.COMPLETIONS] is effect.completes
        assert wanted[Target.NEXT] is not effect.completes


@given(texts, st.sampled_from([1, 2]))
def test_every_beginning_of_a_word_has_a_tail(text, segmentation):
    """By rules 2, words have signs that rules 1 don't know."""
    for token in tokens_of(text, segmentation):
        word = token.removeprefix(" ")
        for length in range(len(word) if word.strip() else 0):
            assert word_rules().number_of(word[:length]) < word_rules().tails


@pytest.mark.parametrize("text", ["", "a", "ab ", "'", "1", "\n", "中"])
def test_a_visible_character_ends_before_anything_else(text):
    """Only the characters of the same visible character continue it, which is not checked here."""
    rules = word_rules()
    for shape in (shape_of(text, "中") if text else end_shape(), end_shape()):
        assert rules.follow(rules.within, shape).ends == (1, 1, 1)
        after = rules.follow(rules.after_cluster, shape)
        start = rules.follow(rules.number_of(""), shape)
        assert after.weights[Target.COMPLETIONS] == 0
        assert after.weights[Target.NEXT] == start.weights[Target.NEXT]
        assert (after.length, after.completes) == (start.length, False)
