"""Tests of ``prediction.piece_grammar``: it divides words like the tokenizer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.engine.state import State
from charlstm.prediction.best_first_search import BestFirstSearch, Target
from charlstm.prediction.grammar import Context
from charlstm.prediction.predictor import Predictor, grammar_of
from charlstm.tokenizer.base import END_OF_DOCUMENT
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import partial_word, tokens_of

ALPHABET = "abZé1٣'’\u0301\u093e\u200d_.!-€ \n\t\u3000中ไ"
CHARS = CharTokenizer(tuple(sorted({*ALPHABET, *"dogs don't, 2"})))
TOKENS = grammar_of(CHARS, clusters=False)
texts = st.text(st.sampled_from(ALPHABET), max_size=9)


class Certain:
    """An engine that writes one text. Its state is the number of tokens read."""

    vocab_size = CHARS.vocab_size

    def __init__(self, text):
        ids = [*CHARS.encode(text).tolist(), END_OF_DOCUMENT]
        self.logits = np.zeros((len(ids) + 1, self.vocab_size), np.float32)
        self.logits[range(len(ids)), ids] = 30

    def initial_state(self, batch):
        return State(np.zeros((1, batch, 1), np.float32))

    def step(self, ids, state):
        after = np.minimum(state.parts[0] + 1, len(self.logits) - 1)
        return self.logits[after[0, :, 0].astype(int)], State(after)


def found(typed, text, target=Target.ALL):
    """Return what a search finds after a typed word if one text follows for certain."""
    engine, search = Certain(text), BestFirstSearch(1, target)
    context = Context(engine.logits[0], engine.initial_state(1), typed)
    Predictor(engine, CHARS, TOKENS).search([search], [context])
    return [candidate for candidate in search.best() if candidate.probability > 0.5]


def expected(typed, text):
    """Return whether the first word of a text continues ``typed``, the word, and its rest."""
    tokens = list(tokens_of(typed + text))
    if typed and len(tokens[0]) > len(typed):
        return True, tokens[0], tokens[0][len(typed) :]
    before = ""
    for token in tokens_of(text):
        before += token
        if token.strip():
            return False, token.removeprefix(" "), before
    return False, "", ""


@settings(max_examples=600)
@given(texts, texts)
def test_the_first_word_of_a_certain_text_is_found(prompt, text):
    typed = partial_word(prompt).typed
    (candidate,) = found(typed, text)
    assert (candidate.completes, candidate.text, candidate.append) == expected(typed, text)
    assert candidate.probability == pytest.approx(1, abs=1e-6)


@settings(max_examples=300)
@given(texts, texts)
def test_a_search_for_one_kind_of_word_finds_no_other(prompt, text):
    typed = partial_word(prompt).typed
    completes, *_ = expected(typed, text)
    assert bool(found(typed, text, Target.NEXT)) is not completes
    if typed:
        assert bool(found(typed, text, Target.COMPLETIONS)) is completes


@pytest.mark.parametrize(
    ("typed", "text", "word"),
    [
        ("don", "'t go", "don't"),
        ("don", "'' go", "''"),
        ("don", "’ go", "’"),
        ("don'", "t go", "don't"),
        ("don'", "'t", "'"),
        ("", "dogs' a", "dogs"),
        ("", "'tdo", "'"),
        ("e", "\u0301a.", "e\u0301a"),
        ("", "\u0301a", "\u0301"),
        ("1", "2,1", "12"),
        ("", "1a", "1"),
        ("a", "1", "1"),
        ("", "--- a", "---"),
        ("", ".-", "."),
        ("", "中中", "中"),
        ("a", "中", "中"),
        ("", " \n\t ab", "ab"),
        ("", " \n", ""),
    ],
)
def test_words_by_example(typed, text, word):
    (candidate,) = found(typed, text)
    assert candidate.text == word
