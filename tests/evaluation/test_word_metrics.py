"""Tests of ``evaluation.word_metrics``: which words are predicted, and the text before them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.evaluation.word_metrics import WordFinder, context_windows, evaluate_words
from charlstm.tokenizer.segmentation import tokens_of
from tests.evaluation.helpers import LEVELS, documents_given, ids_of, texts
from tests.models import CHARS, WORDS, model_of
from tests.texts import message


@pytest.mark.parametrize(("text", "words"), [
    ("the cat's 2 hats", ["the", "cat's", "2", "hats"]),
    ("(one) two-three, four.five", ["one", "two", "three", "four", "five"]),
    ("3rd x2 'tis rock'n'roll", ["3", "x", "rock'n'roll"]),
    ("a\nb\tc  d\r\ne", ["a", "b", "c", "d", "e"]),
    ("\u4e2d\u56fd ab", ["\u4e2d", "\u56fd", "ab"]),
    ("... --- !", []),
    ("caf\u0301e e\u0301t", ["caf\u0301e", "e\u0301t"]),
])  # fmt: skip
def test_which_words_are_predicted(text, words):
    found = list(WordFinder().words(text))
    assert [token.removeprefix(" ") for _, token in found] == words
    assert all(text[position:].startswith(token) for position, token in found)


def test_a_border_of_two_pieces_does_not_start_a_word():
    finder = WordFinder()
    assert [token for text in ("ab", "cd ef", "\n", "gh") for _, token in finder.words(text)] == [
        "ab", " ef", "gh",
    ]  # fmt: skip


@LEVELS
@given(documents_given.filter(lambda d: any(list(WordFinder().words(t)) for t in d)), st.data())
def test_windows_end_where_words_begin(tokenizer, documents, data):
    there = [(d, *found) for d in documents for found in WordFinder().words(d)]
    chosen = sorted(data.draw(st.sets(st.integers(0, len(there) - 1), min_size=1)))
    found = [
        (window.ids[: query.after].tolist(), query)
        for window in context_windows(tokenizer, texts(*documents), chosen)
        for query in window.queries
    ]
    assert len(found) == len(chosen)
    for (read, query), number in zip(found, chosen, strict=True):
        document, position, token = there[number]
        word = token.removeprefix(" ")
        before = document[: position + len(token) - len(word)]
        assert query.word == word
        assert query.unread == (token[: -len(word)] if tokenizer.joins_spaces else "")
        assert read == ids_of(tokenizer, before.removesuffix(query.unread), False)
        assert list(tokens_of(before + word))[-1] == token


def test_a_text_without_words_is_refused(sentence):
    refused = message(evaluate_words, model_of(CHARS), CHARS, texts("... ---"), sample=5, seed=1)
    sentence(refused, "it", "no word", "no word")


@LEVELS
def test_the_seed_determines_the_sample(tokenizer):
    engine = model_of(tokenizer)
    line = "a b c e . ab a bad h g d f " if tokenizer is not WORDS else "the cat saw the dog . "
    text = texts(line * 20)
    there = 20 * len(line.replace(".", "").split())

    def figures(sample, seed):
        return evaluate_words(engine, tokenizer, text, sample=sample, seed=seed)

    first, everything = figures(60, 1), figures(10**6, 1)
    assert figures(60, 1) == first
    others = {figures(60, seed).keystrokes_saved for seed in (0, 2, 3)}
    assert len({first.keystrokes_saved, *others}) > 1
    assert figures(there, 2) == everything
    assert everything.sample == there
