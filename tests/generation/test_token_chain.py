"""Tests of ``generation.token_chain``: the chain of a model that is a chain is the same."""

from __future__ import annotations

import gc
from weakref import ref

import numpy as np
import pytest

from charlstm.generation.token_chain import MOST_CONTEXTS, token_chain
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from tests.models import CHARS, PIECES, WORDS, MarkovEngine, random_model

FEW = CharTokenizer(tuple("ab. "))


@pytest.mark.parametrize("temperature", [0.5, 1.0])
@pytest.mark.parametrize("ends", [True, False])
def test_the_chain_of_a_markov_chain_is_the_same(temperature, ends):
    engine = MarkovEngine(FEW.vocab_size)
    found = token_chain(engine, FEW, temperature, ends=ends).probabilities
    weights = np.exp(engine.logits / temperature)
    weights[:, [UNKNOWN] if ends else [UNKNOWN, END_OF_DOCUMENT]] = 0
    expected = weights / weights.sum(axis=1, keepdims=True)
    seen = [END_OF_DOCUMENT, *FEW.character_ids.tolist()]
    np.testing.assert_allclose(found[seen], expected[seen], atol=0.02)


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
def test_the_probabilities_of_every_context_sum_to_one(tokenizer):
    chain = token_chain(random_model("int8", tokenizer.vocab_size), tokenizer, 0.8, ends=True)
    np.testing.assert_allclose(chain.probabilities.sum(axis=1), 1, atol=1e-9)
    assert chain.probabilities[:, UNKNOWN].max() < 1e-9
    assert len(chain.probabilities) > max(chain.after.max(), chain.after_spelled.max())


def test_a_chain_is_the_same_each_time():
    one, other = (
        token_chain(MarkovEngine(CHARS.vocab_size), CHARS, 0.8, ends=True) for _ in range(2)
    )
    assert one is not other
    np.testing.assert_array_equal(one.probabilities, other.probabilities)


def test_a_chain_is_cached_without_keeping_the_model_alive():
    engine = MarkovEngine(CHARS.vocab_size)
    chain = token_chain(engine, CHARS, 0.8, ends=True)
    assert token_chain(engine, CHARS, 0.8, ends=True) is chain
    alive = ref(engine)
    del engine
    gc.collect()
    assert alive() is None


def test_letters_are_contexts_and_all_words_share_one():
    chain = token_chain(random_model("int8", WORDS.vocab_size), WORDS, 1.0, ends=True)
    letters = WORDS.character_ids
    assert chain.after[BEGIN_SPELLING] == chain.spelling == 1
    assert chain.after_spelled[END_SPELLING] == 0
    assert len(set(chain.after_spelled[letters].tolist())) == len(letters)
    assert set(chain.after[letters].tolist()) == {0}
    assert len(chain.probabilities) == 2 + len(letters)


def test_the_most_likely_of_many_characters_are_contexts():
    size = MOST_CONTEXTS + 50
    tokenizer = CharTokenizer(tuple(map(chr, range(0x4E00, 0x4E00 + size))))
    engine = MarkovEngine(tokenizer.vocab_size, steep=True)
    chain = token_chain(engine, tokenizer, 1.0, ends=True)
    assert chain.probabilities.shape == (MOST_CONTEXTS, tokenizer.vocab_size)
    alone = np.flatnonzero(np.bincount(chain.after)[chain.after] == 1)
    assert set(range(2, 100)) <= set(alone.tolist())
