"""Tests of ``prediction.predictor``: one distribution, the likeliest of it, the same in any batch.

The oracle enumerates continuations of a small random chain in float64 and asks the tokenizer which
word each of them begins with.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.config import ModelConfig
from charlstm.engine.session import build_engine
from charlstm.errors import ConfigError
from charlstm.prediction.predictor import Predictor, grammar_of
from charlstm.prediction.search import BestFirstSearch, Target
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.word import WordTokenizer

CHARS = CharTokenizer(tuple("ab'1. \n中"))
WORDS = WordTokenizer((*"ab'1. \n", " ab", "ab", " a", " ab'a", "aba", " .", " 1"))
TYPED = re.compile(r"(?:[ab](?:'?[ab])*'?|1+)\Z")
LEGAL = [END_OF_DOCUMENT, BEGIN_SPELLING, *range(4, WORDS.vocab_size)]
CUT = 3e-6  # continuations less likely than this are not enumerated
EVERYTHING = 10**9


class Chain:
    """An engine whose logits depend on the last symbol only: table [V, V]."""

    def __init__(self, vocab_size, seed, rare=()):
        rng = np.random.default_rng(seed)
        self.vocab_size = vocab_size
        self.table = (2 * rng.normal(size=(vocab_size, vocab_size))).astype(np.float32)
        self.table[:, list(rare)] -= 3
        np.fill_diagonal(self.table, -3)

    def initial_state(self, batch):
        return np.zeros((1, batch, 1), np.float32)

    def step(self, ids, state):
        return self.table[ids], np.asarray(ids, np.float32)[np.newaxis, :, np.newaxis]

    def run(self, ids, state):
        return self.table[ids], self.step(ids[:, -1], state)[1]

    def row(self, last, allowed):
        """The probabilities after an id, in float64: {id: probability} of the allowed ids."""
        values = np.exp(self.table[last, allowed].astype(np.float64))
        return dict(zip(allowed, values / values.sum(), strict=True))


@cache
def chain(level, seed):
    # Short words, so that what is enumerated is nearly everything.
    if level == "char":
        return Chain(CHARS.vocab_size, seed, CHARS.encode("ab1'"))
    engine = Chain(WORDS.vocab_size, seed, [*WORDS.encode("ab'1\n "), BEGIN_SPELLING])
    engine.table[:, END_SPELLING] += 2
    return engine


class Outcomes:
    """What an oracle found: the mass of each way to each candidate, and what it left out."""

    def __init__(self):
        self.ways = defaultdict(lambda: defaultdict(float))
        self.undecided = 0.0

    def add(self, completes, text, append, mass):
        self.ways[completes, text][append] += mass

    def sums(self):
        return {key: sum(ways.values()) for key, ways in self.ways.items()}


def outcome(typed, string):
    """The candidate that a continuation begins with, and what was written for it; or None."""
    tokens = list(tokens_of(typed + string))
    completes = bool(typed) and len(tokens[0]) > len(typed)
    at = 0
    if completes:
        at, text = len(tokens[0]) - len(typed), tokens[0]
    else:
        for text in tokens_of(string):
            at += len(text)
            if text.strip():
                break
        else:
            return None
    rest = string[at:]
    if rest and (rest[0] != "'" or len(rest) > 1):  # an apostrophe alone may still be a part of it
        return completes, text.removeprefix(" "), string[:at]
    return None


@cache
def characters_oracle(seed, prompt):
    engine, found = chain("char", seed), Outcomes()
    found_typed = TYPED.search(prompt)
    typed = found_typed[0] if found_typed else ""
    allowed = [END_OF_DOCUMENT, *range(2, CHARS.vocab_size)]
    going = [("", int(CHARS.encode(prompt)[-1]) if prompt else END_OF_DOCUMENT, 1.0)]
    while going:
        string, last, mass = going.pop()
        for symbol, probability in engine.row(last, allowed).items():
            here, longer = mass * probability, string + CHARS.pieces[symbol]
            if symbol == END_OF_DOCUMENT:  # ends whatever stands there
                decided = outcome(typed, string + "\n\n") or (False, "", string)
            else:
                decided = outcome(typed, longer)
            if decided:
                found.add(*decided, here)
            elif here < CUT:
                found.undecided += here
            else:
                going.append((longer, symbol, here))
    return found


def next_tokens(engine, last, before, unread=""):
    """Yield (whether it is whole, text, last id, probability) of the tokens that may follow."""
    merges = [
        symbol
        for symbol in range(4, WORDS.vocab_size)
        if before.strip()
        and len(list(tokens_of(before + WORDS.pieces[symbol]))) <= len(list(tokens_of(before)))
    ]
    first = engine.row(last, [symbol for symbol in LEGAL if symbol not in merges])
    for symbol, mass in first.items():
        if symbol != BEGIN_SPELLING:
            yield True, WORDS.pieces[symbol], symbol, mass
    letters = WORDS.character_ids.tolist()
    going = [("", BEGIN_SPELLING, first[BEGIN_SPELLING])]
    while going:
        text, last, mass = going.pop()
        row = engine.row(last, [*letters, END_SPELLING] if text else letters)
        if text:
            yield True, text, END_SPELLING, mass * row[END_SPELLING]
        for symbol in letters:
            longer, here = text + WORDS.pieces[symbol], mass * row[symbol]
            if here < CUT and not unread.startswith(longer):
                yield False, longer, symbol, here
            else:
                going.append((longer, symbol, here))


@cache
def words_oracle(seed, prompt):
    engine, found = chain("word", seed), Outcomes()
    found_typed = TYPED.search(prompt)
    typed = found_typed[0] if found_typed else ""
    start = len(prompt) - len(typed)
    unread = " " if prompt.endswith(" ") else typed
    if typed and prompt[start - 1 : start] == " ":
        unread = " " + typed
    read = WORDS.encode(prompt.removesuffix(unread)) if unread else WORDS.encode(prompt)
    last = int(read[-1]) if len(read) else END_OF_DOCUMENT
    going = []  # (written after the prompt, last token, last id, mass)
    for whole, text, symbol, mass in next_tokens(engine, last, "", unread):
        if text.startswith(unread):
            if whole:
                going.append((text[len(unread) :], text, symbol, mass))
            else:
                found.undecided += mass
        elif whole and text == unread[:-1] and unread[-1] == "'" and symbol != END_SPELLING:
            apostrophe = int(WORDS.encode("'")[0])
            row = engine.row(symbol, LEGAL)
            going.append(("", unread, apostrophe, mass * row[apostrophe]))
    total = sum(mass for *_, mass in going) + found.undecided
    found.undecided /= total
    going = [(*rest, mass / total) for *rest, mass in going]
    first = True
    while going:
        ahead, going = going, []
        for written, token, symbol, mass in ahead:
            if symbol == END_OF_DOCUMENT:
                found.add(False, "", "", mass)
            elif token.strip() and (written or not first):
                text = token.removeprefix(" ")
                found.add(bool(typed) and first, text, written, mass)
            elif mass < CUT:
                found.undecided += mass
            else:
                for whole, text, after, share in next_tokens(engine, symbol, token):
                    if whole:
                        going.append((written + text, text, after, mass * share))
                    else:
                        found.undecided += mass * share
        first = False
    return found


ORACLES = {"char": characters_oracle, "word": words_oracle}
TOKENIZERS = {"char": CHARS, "word": WORDS}
PROMPTS = ["", "a", " ab", "b a", ".", " a'", "a.\n", "1", "a ", " ab'a", ".ab"]


def predictor(level, seed):
    return Predictor(chain(level, seed), TOKENIZERS[level])


def search(level, seed, prompt, rounds=64, width=8, **settings):
    frontier = BestFirstSearch(**settings)
    one = predictor(level, seed)
    one.search([frontier], [one.context(prompt)], width, rounds)
    return frontier


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("seed", [1, 2])
def test_all_candidates_share_one_distribution(level, prompt, seed):
    expected = ORACLES[level](seed, prompt)
    sums = expected.sums()
    assert sum(sums.values()) + expected.undecided == pytest.approx(
        1, abs=1e-9 + expected.undecided
    )
    assert expected.undecided < 0.01
    found = search(level, seed, prompt, 120, 32, count=EVERYTHING, least=0.0)
    candidates = found.best()
    left = 1 - sum(c.probability for c in candidates)
    assert -1e-6 <= left < 1e-4
    slack = left + expected.undecided + 1e-6
    for candidate in candidates:
        mass = sums.get((candidate.completes, candidate.text), 0.0)
        assert abs(candidate.probability - mass) <= slack, candidate
    common = [c for c in candidates if c.probability > 0.01]
    assert common
    for c in common:
        assert c.probability == pytest.approx(sums[c.completes, c.text], abs=slack), c
        assert c.append in expected.ways[c.completes, c.text]


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("words_only", [False, True])
def test_those_found_are_the_likeliest(level, prompt, count, words_only):
    for seed in (1, 2, 3):
        expected = ORACLES[level](seed, prompt)
        found = search(level, seed, prompt, 300, count=count, words_only=words_only)
        best = found.best()
        least = 1e-4 / count  # what is less likely may be missing
        assert not found.take(1)  # the search was over before its last round
        masses = [c.probability for c in best]
        assert masses == sorted(masses, reverse=True)
        named = {(c.completes, c.text) for c in best}
        assert len(named) == len(best)
        last = masses[-1] if len(best) == count else least
        for key, ways in expected.ways.items():
            if key not in named and (key[1][:1].isalnum() or not words_only):
                # A way here is a text, which at word level has more than one sequence of ids.
                assert 0.9 * max(ways.values()) <= max(last, least), key
        for c in best:
            ways = expected.ways.get((c.completes, c.text), {"": 0.0})
            assert c.probability <= sum(ways.values()) + expected.undecided + 1e-6
            assert c.probability < least or c.probability >= 0.9 * max(ways.values())


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_search_that_is_cut_short_has_paths_left(level):
    assert search(level, 1, "", rounds=0, count=8).take(1)
    assert search(level, 1, "", rounds=1, width=1, count=30).take(1)
    assert not search(level, 1, "", rounds=300, width=1, count=3).take(1)


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("prompt", ["a", " ab", "b a", " a'", "1"])
def test_completions_alone_are_those_of_the_whole_list(level, prompt):
    typed = TYPED.search(prompt)[0]
    found = search(level, 1, prompt, count=4, target=Target.COMPLETIONS).best()
    both = search(level, 1, prompt, count=200)
    expected = [c for c in both.best() if c.completes][:4]
    assert [c.text for c in expected][: len(found)] == [c.text for c in found]
    assert found
    for candidate in found:
        assert candidate.completes
        assert candidate.text == typed + candidate.append
        assert candidate.append


def end_of(text):
    """Which characters end a text's last token when they follow."""
    last = list(tokens_of(text))[-1]
    return [c for c in CHARS.vocabulary if c != "'" and len(list(tokens_of(last + c))) > 1]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("words", [2, 3])
def test_the_probability_of_a_phrase_is_that_of_its_text(prompt, words):
    engine = chain("char", 2)
    allowed = [END_OF_DOCUMENT, *range(2, CHARS.vocab_size)]
    phrases = predictor("char", 2).predict(prompt, 4, words=words)
    assert phrases == sorted(phrases, key=lambda phrase: -phrase.probability)
    for phrase in phrases:
        ids = [END_OF_DOCUMENT, *CHARS.encode(prompt + phrase.append).tolist()]
        mass = 1.0
        for at in range(len(prompt) + 1, len(ids)):
            mass *= engine.row(ids[at - 1], allowed)[ids[at]]
        row = engine.row(ids[-1], allowed)
        if phrase.special == "end":
            mass *= row[END_OF_DOCUMENT]
        else:
            last = phrase.append.split()[-1] if phrase.append.strip() else phrase.append
            ending = [int(CHARS.encode(c)[0]) for c in end_of(prompt[-3:] + phrase.append)]
            token = list(tokens_of(last))[-1]
            apostrophe = int(CHARS.encode("'")[0])
            if token[-1] not in "ab'":
                ending.append(apostrophe)
            if token != "中":
                mass *= row[END_OF_DOCUMENT] + sum(row[symbol] for symbol in ending)
        assert phrase.probability == pytest.approx(mass, rel=1e-5), phrase
        assert phrase.text.endswith(phrase.append.lstrip())


def test_phrases_of_words_are_tokens_in_a_row():
    phrases = predictor("word", 1).predict("a ", 6, words=3)
    assert len({phrase.append for phrase in phrases}) == 6
    singles = predictor("word", 1).predict("a ", 60)
    begin = {p.text for p in singles}
    for phrase in phrases:
        tokens = [t.strip() for t in tokens_of(phrase.text) if t.strip()]
        assert phrase.special or tokens[0] in begin
        assert 0 < phrase.probability < 1


# A real engine


@cache
def model(level, precision):
    size = TOKENIZERS[level].vocab_size
    config = ModelConfig(vocab_size=size, embedding=6, units=12, layers=2)
    rng = np.random.default_rng(4)
    shapes = {
        "embedding/embeddings": (size, 6),
        "lstm_0/kernel": (6, 48),
        "lstm_0/recurrent_kernel": (12, 48),
        "lstm_0/bias": (48,),
        "lstm_1/kernel": (12, 48),
        "lstm_1/recurrent_kernel": (12, 48),
        "lstm_1/bias": (48,),
        "output/kernel": (12, size),
        "output/bias": (size,),
    }
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return build_engine(config, weights, precision=precision, threads=1)


levels = st.sampled_from(["char", "word"])
precisions = st.sampled_from(["int8", "float32"])
prompts = st.text(st.sampled_from("ab'1. \n€"), max_size=12)


@settings(max_examples=40)
@given(levels, precisions, st.lists(prompts, min_size=1, max_size=12), st.booleans())
def test_a_batch_predicts_what_single_contexts_do(level, precision, texts, completions_only):
    engine, tokenizer = model(level, precision), TOKENIZERS[level]
    one = Predictor(engine, tokenizer)
    contexts = [one.context(text) for text in texts]
    targets = [
        Target.COMPLETIONS if completions_only and context.typed else Target.ALL
        for context in contexts
    ]
    batch = [BestFirstSearch(4, target) for target in targets]
    one.search(batch, contexts)
    for text, target, together in zip(texts, targets, batch, strict=True):
        fresh, alone = Predictor(engine, tokenizer), BestFirstSearch(4, target)
        fresh.search([alone], [fresh.context(text)])
        assert found_by(together) == found_by(alone)


def found_by(search):
    return [(c.completes, c.text, c.append, c.probability) for c in search.best()]


@settings(max_examples=40)
@given(levels, precisions, st.lists(st.tuples(st.integers(0, 150), prompts), max_size=12))
def test_a_session_predicts_what_prompts_alone_do(level, precision, edits):
    engine, tokenizer = model(level, precision), TOKENIZERS[level]
    session, text = Predictor(engine, tokenizer), "a b. ab\n" * 12
    for keep, more in edits:
        text = text[:keep] + more
        found, expected = session.context(text), Predictor(engine, tokenizer).context(text)
        np.testing.assert_array_equal(found.logits, expected.logits)
        np.testing.assert_array_equal(found.state, expected.state)
        assert (found.typed, found.unread) == (expected.typed, expected.unread)
        assert session.predict(text, 2) == Predictor(engine, tokenizer).predict(text, 2)


def test_a_session_reads_only_what_is_new():
    class Counting(Chain):
        read = 0

        def run(self, ids, state):
            self.read += ids.size
            return super().run(ids, state)

    engine = Counting(CHARS.vocab_size, 1)
    session, text = Predictor(engine, CHARS), "ab 1.\n" * 200
    session.context(text)
    assert engine.read == len(text) + 1
    for more in ("a", "ab", "ab ", "ab"):
        session.context(text + more)
    assert engine.read == len(text) + 1 + 3
    session.context(text[:-20])
    assert engine.read <= len(text) + 4 + 32
    for place in range(500):
        session.context("ab1"[place % 3] * place)
    assert len(session._memory._places) <= 48


@given(levels, precisions, prompts)
def test_symbols_are_those_of_the_model(level, precision, prompt):
    engine, tokenizer = model(level, precision), TOKENIZERS[level]
    found = Predictor(engine, tokenizer).symbols(prompt, 100)
    begun = level == "word" and prompt.endswith(" ")
    ids = [END_OF_DOCUMENT, *tokenizer.encode(prompt[:-1] if begun else prompt).tolist()]
    logits, _ = engine.read([np.array(ids)])
    masses = np.exp(logits[0].astype(np.float64))
    if begun:
        for symbol, piece in enumerate(tokenizer.pieces):
            masses[symbol] *= piece.startswith(" ") or symbol == BEGIN_SPELLING
    masses /= masses.sum()
    assert sum(p.probability for p in found) == pytest.approx(1)
    assert [p.probability for p in found] == pytest.approx(sorted(masses[masses > 0])[::-1])
    named = {p.text or p.special: p for p in found}
    for symbol, name in [(END_OF_DOCUMENT, "end"), (UNKNOWN, "unknown")]:
        if not begun:
            assert named[name].probability == pytest.approx(masses[symbol])
            assert named[name].append == ""
    for prediction in found:
        if not prediction.special:
            assert prediction.text == (" " if begun else "") + prediction.append
            assert prediction.text in tokenizer.vocabulary


@pytest.mark.parametrize("level", ["char", "word"])
def test_many_contexts_are_taken_in_parts(level, monkeypatch):
    one = Predictor(model(level, "int8"), TOKENIZERS[level])
    contexts = [one.context(prompt) for prompt in PROMPTS]
    whole = one.likeliest(contexts, 3)
    monkeypatch.setattr("charlstm.prediction.predictor._FLOATS", 1)
    assert one.likeliest(contexts, 3) == whole
    assert one.likeliest([], 3) == []


def test_a_half_typed_word_with_an_unknown_character_is_read():
    one = predictor("word", 1)
    assert one.context("a é").unread == ""
    assert one.predict("a é", 3)


def test_a_grammar_can_be_shared():
    grammar = grammar_of(WORDS)
    shared = Predictor(chain("word", 1), WORDS, grammar)
    assert shared.predict("a", 3) == predictor("word", 1).predict("a", 3)
    assert Target.ALL == 0


@pytest.mark.parametrize("name", ["top", "words"])
def test_numbers_out_of_range_are_refused(sentence, name):
    with pytest.raises(ConfigError) as caught:
        predictor("char", 1).predict("a", **{name: 0})
    sentence(caught.value, name, 0, "1 or more")
