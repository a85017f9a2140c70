"""Tests of ``generation.spelled_prefix``: the last word of a prompt goes on as the model says."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from charlstm.config import SampleConfig
from charlstm.generation.decoder import generate
from charlstm.generation.spelled_prefix import spelled_prefixes
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.word import WordTokenizer
from tests.models import CHARS, random_model
from tests.oracles import log_probabilities

COUNT = 6000
WORDS = WordTokenizer((*"aehmtwxy \n", " the", " them", " they", "the", " a", " hat"))


def log_probability(engine, tokenizer, ids, after):
    """Return that of the ids of a text after others, if no unknown token is drawn."""
    (logits, state), value = engine.read([np.array([END_OF_DOCUMENT, *after])]), 0.0
    for token_id in ids:
        logits[0, UNKNOWN] = -np.inf
        value += log_probabilities(logits[0])[token_id]
        logits, state = engine.step(np.array([token_id]), state)
    return value


def first_tokens(tokenizer, prompt):
    config = SampleConfig(length=1, temperature=1.0, top_p=1.0, min_p=0.0)
    engine = random_model("float32", tokenizer.vocab_size)
    samples = generate(engine, tokenizer, [prompt] * COUNT, config, seed=1, alternatives=0)
    return Counter((one.symbols[0].text, one.symbols[0].special) for one in samples)


def check(found, expected):
    assert found.keys() <= expected.keys()
    for token, share in expected.items():
        error = np.sqrt(share * (1 - share) / COUNT)
        assert found[token] / COUNT == pytest.approx(share, abs=4 * error + 1e-9), token


@pytest.mark.parametrize(
    ("prompt", "read"),
    [("a hat the", "a hat"), ("the th", "the"), ("the hat ", "the hat"), ("hat t", "hat")],
)
def test_a_last_word_goes_on_in_proportion_to_the_whole_distribution(prompt, read):
    """The word itself, longer tokens and spelled words, each with the probability of its path."""
    engine, ids = random_model("float32", WORDS.vocab_size), WORDS.encode(read).tolist()
    prefix = prompt[len(read) :]
    paths = {
        (piece, None): [token_id]
        for token_id, piece in enumerate(WORDS.pieces)
        if piece.startswith(prefix)
    }
    letters = [int(WORDS.encode(letter)[0]) for letter in prefix]
    paths["", "begin_spelling"] = [BEGIN_SPELLING, *letters]
    shares = {
        token: np.exp(log_probability(engine, WORDS, path, ids)) for token, path in paths.items()
    }
    total = sum(shares.values())
    check(first_tokens(WORDS, prompt), {token: p / total for token, p in shares.items()})


def test_characters_go_on_in_proportion_to_the_whole_distribution():
    engine, ids = random_model("float32", CHARS.vocab_size), CHARS.encode("abc deaf").tolist()
    shares = {
        (CHARS.pieces[token_id], "end" if token_id == END_OF_DOCUMENT else None): np.exp(
            log_probability(engine, CHARS, [token_id], ids)
        )
        for token_id in range(CHARS.vocab_size)
        if token_id != UNKNOWN
    }
    check(first_tokens(CHARS, "abc deaf"), shares)


def test_prefixes_of_a_batch_are_spelled_as_alone():
    engine = random_model("int8", WORDS.vocab_size)
    _, states = engine.read([WORDS.encode_beginning(text) for text in ("the", "the hat", "")])
    prefixes = [" they", "", "x"]
    together = spelled_prefixes(engine, WORDS, prefixes, states, [UNKNOWN])
    alone = [
        spelled_prefixes(engine, WORDS, [prefix], states[:, [row]], [UNKNOWN])[0]
        for row, prefix in enumerate(prefixes)
    ]
    assert together == alone
    assert together[1] == 0
    assert max(together[0], together[2]) < 0
    assert spelled_prefixes(engine, CHARS, ["a"], states[:, :1], []) == [0]
