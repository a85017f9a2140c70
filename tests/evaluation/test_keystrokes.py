"""Tests of ``evaluation.keystrokes``, compared with an enumeration of all continuations.

The oracle of the predictions sums over all continuations of a small random chain.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.evaluation import keystrokes
from charlstm.evaluation.keystrokes import (
    RANKS,
    SUGGESTIONS,
    WARM,
    ContextWindow,
    Keyboard,
    WordQuery,
    WordResult,
    windows_of,
    word_figures,
)
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.models import CHARS, PIECES, WORDS, model_of
from tests.oracles import assert_states_equal
from tests.prediction.oracles import ORACLES, TOKENIZERS, chain

# The text before a word, and the word.
QUESTIONS = [("", "ab"), (" ", "ab"), (".\n", "a"), (" ", "ab'a"), ("a ", "11"), ("1.", "ba"),
             (" ", "aba"), ("", "b")]  # fmt: skip


def asked_after(level, before, word):
    """Return the query of a word. The space before it may be a part of its token."""
    tokenizer = TOKENIZERS[level]
    unread = " " if tokenizer.joins_spaces and before.endswith(" ") else ""
    read = tokenizer.encode(before[: len(before) - len(unread)])
    ids = np.array([END_OF_DOCUMENT, *read.tolist()])
    return ContextWindow(ids, (WordQuery(word, len(ids), unread),))


def possible_ranks(probabilities, word, slack):
    """Return the lowest and highest possible rank of a word, as probabilities are not exact."""
    own = probabilities.get(word, 0.0)
    others = [probability for text, probability in probabilities.items() if text != word]
    surely = sum(probability * 0.9 - slack > own for probability in others)
    perhaps = sum(probability + slack > own * 0.9 for probability in others)
    return surely + 1, perhaps + 1 if own > slack else math.inf


def expected(level, seed, before, word):
    """Return the ranges of possible ranks and keystrokes of a word."""
    found = ORACLES[level](seed, before)
    slack = found.undecided + 1e-4
    words = {text: total for (_, text), total in found.sums().items() if text[:1].isalnum()}
    ranks = possible_ranks(words, word, slack)
    first = last = None
    for typed in range(len(word)):
        if typed:
            found = ORACLES[level](seed, before + word[:typed])
            slack = found.undecided + 1e-4
            words = {text: total for (longer, text), total in found.sums().items() if longer}
        least, greatest = possible_ranks(words, word, slack)
        if first is None and least <= SUGGESTIONS:
            first = typed + 1
        if last is None and greatest <= SUGGESTIONS:
            last = typed + 1
    return ranks, (first or len(word) + 1, last or len(word) + 1)


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("seed", [1, 2])
def test_results_equal_those_of_an_enumeration(level, seed):
    keyboard = Keyboard(chain(level, seed), TOKENIZERS[level])
    windows = [asked_after(level, *question) for question in QUESTIONS]
    results = [result for group in keyboard.ask(windows) for result in group]
    assert len(results) == len(QUESTIONS)
    certain = 0
    for result, (before, word) in zip(results, QUESTIONS, strict=True):
        ranks, strokes = expected(level, seed, before, word)
        rank = result.rank or math.inf
        assert ranks[0] <= max(rank, min(ranks[0], max(RANKS) + 1)), (before, word)
        assert min(ranks[1], max(RANKS) + 1) >= min(rank, max(RANKS) + 1), (before, word)
        assert result.unaided == len(word) + 1
        assert strokes[0] <= result.keystrokes <= strokes[1], (before, word)
        certain += strokes[0] == strokes[1]
    assert certain > len(QUESTIONS) / 2
    assert len({result.keystrokes for result in results}) > 1


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_a_word_that_can_not_be_written_is_typed(level):
    keyboard = Keyboard(chain(level, 1), TOKENIZERS[level])
    ((result,),) = keyboard.ask([asked_after(level, " ", "aéb")])
    assert result == WordResult(rank=0, unaided=4, keystrokes=4)


def test_no_space_follows_a_character_of_a_script_without_spaces():
    keyboard = Keyboard(chain("char", 1), TOKENIZERS["char"])
    ((result,),) = keyboard.ask([asked_after("char", " ", "中")])
    assert (result.unaided, result.keystrokes) == (1, 1)


# Batches


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
@pytest.mark.parametrize("precision", ["int8", "float32"])
def test_a_result_is_the_same_in_any_batch(monkeypatch, tokenizer, precision):
    text = "the cat saw the dog and the dog ran . the cat\nsaw a dog . the xylophone ran\n" * 9
    engine = model_of(tokenizer, precision)

    def results(at_once):
        monkeypatch.setattr(keystrokes, "_AT_ONCE", at_once)
        queries, at = [], 0
        for word in text.split():
            at = text.index(word, at)
            joins = tokenizer.joins_spaces and text[at - 1 : at] == " "
            before = text[: at - joins]
            unread = text[len(before) : at]
            queries.append(WordQuery(word, 1 + len(tokenizer.encode(before)), unread))
            at += len(word)
        ids = np.array([END_OF_DOCUMENT, *tokenizer.encode(text).tolist()])
        keyboard = Keyboard(engine, tokenizer)
        found = [result for group in keyboard.ask(windows_of(ids, queries)) for result in group]
        assert keyboard.rows > len(queries)
        return found

    assert results(1) == results(40) == results(10**6)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60, unique=True))
def test_windows_contain_every_word_and_its_warm_up(places):
    ids = np.arange(6000)
    queries = [WordQuery(f"w{place}", place) for place in sorted(places)]
    windows = list(windows_of(ids, queries))
    found = [(one.word, int(p.ids[one.after - 1])) for p in windows for one in p.queries]
    assert found == [(one.word, one.after - 1) for one in queries]
    for window in windows:
        first = window.queries[0].after
        assert first == WARM or (first < WARM and window.ids[0] == 0)
        assert len(window.ids) == window.queries[-1].after <= WARM + keystrokes._FRESH
    alone = sum(min(one.after, WARM) for one in queries)
    assert sum(len(window.ids) for window in windows) <= alone


def test_the_words_of_a_short_text_are_read_from_its_beginning():
    engine = model_of(CHARS)
    text = "the cat saw the dog and the dog"
    ids = np.array([END_OF_DOCUMENT, *CHARS.encode(text).tolist()])
    queries = [WordQuery("cat", 5), WordQuery("dog", 17), WordQuery("dog", 29)]
    (window,) = windows_of(ids, queries)
    contexts = Keyboard(engine, CHARS)._contexts([window])
    logits, states = engine.read([ids[: one.after] for one in queries])
    for row, context in enumerate(contexts):
        np.testing.assert_array_equal(context.logits, logits[row])
        assert_states_equal(context.state, states.row(row))


# Figures


def test_figures_of_words():
    results = [WordResult(1, 4, 1), WordResult(3, 6, 2), WordResult(0, 5, 5), WordResult(4, 2, 1)]
    figures = word_figures(results)
    assert figures.sample == 4
    assert figures.accuracy == {1: 0.25, 3: 0.5, 5: 0.75}
    assert figures.accuracy_errors[3] == pytest.approx(math.sqrt(0.5 * 0.5 / 4))
    assert figures.keystrokes_saved == pytest.approx(1 - 9 / 17)


@given(st.integers(0, 2**32 - 1))
def test_the_error_of_keystrokes_is_near_that_of_a_jackknife(seed):
    rng = np.random.default_rng(seed)
    unaided = rng.integers(2, 12, 300)
    results = [WordResult(0, int(n), int(rng.integers(1, n + 1))) for n in unaided]
    pairs = np.array([(o.keystrokes, o.unaided) for o in results], np.float64)
    left = pairs.sum(0) - pairs
    ratios = left[:, 0] / left[:, 1]
    jackknife = math.sqrt(299 / 300 * float(((ratios - ratios.mean()) ** 2).sum()))
    assert word_figures(results).keystrokes_saved_error == pytest.approx(jackknife, rel=0.03)


def test_one_word_has_no_error_of_keystrokes():
    assert math.isnan(word_figures([WordResult(1, 4, 1)]).keystrokes_saved_error)
