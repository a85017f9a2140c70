"""Tests of ``generation.unread``: the model's probabilities of continuations of the last word."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest

from charlstm.config import SampleConfig
from charlstm.generation.coverings import MOST_BEGINNINGS
from charlstm.generation.decoder import generate
from charlstm.generation.unread import unread_ways
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.subword import SubwordTokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.models import CHARS, MarkovEngine, random_model, subwords
from tests.oracles import log_probabilities

COUNT = 6000
WORDS = WordTokenizer((*"aehmtwxy \n", " the", " them", " they", "the", " a", " hat"))

PIECES = SubwordTokenizer(
    (*"aehmtwxy \n", "th", "the", " t", " the", "at", "hat"),
    merges=((6, 4), (12, 3), (10, 6), (10, 13), (2, 6), (4, 16)),
)


def log_probability(engine, tokenizer, ids, after):
    """Return the log-probability of ids after others, if unknown tokens are excluded."""
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
    return Counter((one.per_token[0].text, one.per_token[0].special) for one in samples)


def check(found, expected):
    assert found.keys() <= expected.keys()
    for token, share in expected.items():
        error = np.sqrt(share * (1 - share) / COUNT)
        assert found[token] / COUNT == pytest.approx(share, abs=4 * error + 1e-9), token


@pytest.mark.parametrize(
    ("prompt", "read"),
    [("a hat the", "a hat"), ("the th", "the"), ("the hat ", "the hat"), ("hat t", "hat")],
)
def test_a_last_word_continues_in_proportion_to_the_whole_distribution(prompt, read):
    """The word itself, longer tokens and spelled words have the probabilities of their paths."""
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


def test_characters_continue_in_proportion_to_the_whole_distribution():
    engine, ids = random_model("float32", CHARS.vocab_size), CHARS.encode("abc deaf").tolist()
    shares = {
        (CHARS.pieces[token_id], "end" if token_id == END_OF_DOCUMENT else None): np.exp(
            log_probability(engine, CHARS, [token_id], ids)
        )
        for token_id in range(CHARS.vocab_size)
        if token_id != UNKNOWN
    }
    check(first_tokens(CHARS, "abc deaf"), shares)


@pytest.mark.parametrize(
    ("prompt", "read"),
    [("a hat the", "a hat"), ("the th", "the"), ("the hat ", "the hat"), ("hat t", "hat")],
)
def test_pieces_continue_a_last_word_in_proportion_to_their_probability(prompt, read):
    """The probability of the first piece is that of all sequences that begin with it."""
    engine, ids = random_model("float32", PIECES.vocab_size), PIECES.encode(read).tolist()
    covering, going, typed = defaultdict(float), [()], prompt[len(read) :]
    while going:
        path = going.pop()
        written = PIECES.decode(path)
        if path and written.startswith(typed):
            mass = np.exp(log_probability(engine, PIECES, path, ids))
            covering[PIECES.pieces[path[0]], None] += mass
        elif typed.startswith(written):
            going += [(*path, token_id) for token_id in range(UNKNOWN + 1, PIECES.vocab_size)]
    total = sum(covering.values())
    check(first_tokens(PIECES, prompt), {token: p / total for token, p in covering.items()})


def values(ways):
    """Return a tree of ways in a form that can be compared."""
    return ways and (ways.value, {token_id: values(one) for token_id, one in ways.after.items()})


@pytest.mark.parametrize("tokenizer", [WORDS, PIECES])
def test_the_ways_of_a_batch_equal_those_of_each_text(tokenizer):
    engine = random_model("int8", tokenizer.vocab_size)
    texts = [tokenizer.encode_beginning(text) for text in ("the", "the hat", "")]
    logits, states = engine.read(texts)
    unread = [" they", "", "x"]
    together = unread_ways(engine, tokenizer, unread, logits, states, [UNKNOWN])
    for row, text in enumerate(unread):
        alone = unread_ways(engine, tokenizer, [text], logits[[row]], states.row(row), [UNKNOWN])
        assert values(together[row]) == values(alone[0])
    assert together[1] is None
    assert together[0].after
    assert all(one.value < 0 for one in together[0].after.values())
    assert unread_ways(engine, CHARS, [""], logits[:1], states[:1], []) == [None]


def test_a_long_word_takes_few_rows_and_no_probability_vanishes():
    """The pieces divide words in more ways than can be enumerated."""
    tokenizer = subwords("0123456789 ", *(a + b for a in "0123456789" for b in "0123456789"))
    engine = CountingEngine(tokenizer.vocab_size)
    logits, state = engine.read([np.array([END_OF_DOCUMENT])])
    engine.logits[:] -= 30.0 * (np.arange(tokenizer.vocab_size) > 1)  # the end follows a digit
    text = "31415926535897932384626433832795" * 2
    (ways,) = unread_ways(engine, tokenizer, [text], logits, state, [UNKNOWN])
    assert engine.rows <= MOST_BEGINNINGS * len(text)
    values = [one.value for one in ways.after.values()]
    assert values
    assert all(-np.inf < value < -500 for value in values)


class CountingEngine(MarkovEngine):
    rows = 0

    def step(self, ids, state):
        self.rows += len(ids)
        return super().step(ids, state)


@pytest.mark.parametrize("prompt", ["don'", "I don’", "je l’"])
def test_a_word_that_ends_with_an_apostrophe_continues_as_learned(prompt):
    """The pieces of a whole word may contain the apostrophe and the text after it."""
    tokenizer = subwords("Idontje l’'", "on", "don", "n’", "’t", "don’", "don'", " l", " l’", "n’t")
    before, unread = tokenizer.split_prompt(prompt)
    assert unread.lstrip() == prompt.split()[-1]
    engine = random_model("float32", tokenizer.vocab_size)
    logits, state = engine.read([tokenizer.encode_beginning(before)])
    (ways,) = unread_ways(engine, tokenizer, [unread], logits, state, [UNKNOWN])
    first = {tokenizer.pieces[token_id] for token_id in ways.after}
    assert first  # pieces that write a part of it; others can write all of it
