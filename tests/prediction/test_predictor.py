"""Tests of ``prediction.predictor``: the most likely words, with their probabilities, in any batch.

The oracle enumerates the continuations of a small random chain (``tests.prediction.oracles``).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig
from charlstm.engine.inference import build_engine
from charlstm.errors import ConfigError
from charlstm.prediction.best_first_search import LEAST_SHARE, BestFirstSearch, Target
from charlstm.prediction.predictor import Predictor, grammar_of
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.word import WordTokenizer
from tests.models import subwords
from tests.oracles import assert_states_equal
from tests.prediction.oracles import (
    CHARS,
    ORACLES,
    TOKENIZERS,
    TYPED,
    WORDS,
    Chain,
    chain,
    predictor,
)

EVERYTHING = 10**9
PROMPTS = ["", "a", " ab", "b a", ".", " a'", "a.\n", "1", "a ", " ab'a", ".ab"]


def search(level, seed, prompt, rounds=64, width=8, **settings):
    frontier = BestFirstSearch(**settings)
    one = predictor(level, seed)
    one.search([frontier], [one.context(prompt)], width, rounds)
    return frontier


@pytest.mark.parametrize("level", ["char", "subword", "word"])
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
        assert c.append in expected.paths[c.completes, c.text]


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("words_only", [False, True])
def test_the_candidates_found_are_the_most_likely(level, prompt, count, words_only):
    for seed in (1, 2, 3):
        expected = ORACLES[level](seed, prompt)
        found = search(level, seed, prompt, 300, count=count, words_only=words_only)
        best = found.best()
        least = 1e-4 / count  # less likely words may be missing
        assert not found.take(1)  # the search was over before its last round
        masses = [c.probability for c in best]
        assert masses == sorted(masses, reverse=True)
        named = {(c.completes, c.text) for c in best}
        assert len(named) == len(best)
        last = masses[-1] if len(best) == count else least
        for key in expected.paths:
            if key not in named and (key[1][:1].isalnum() or not words_only):
                # At word level, a text can have several sequences of ids.
                assert 0.9 * expected.likeliest(*key) <= max(last, least), key
        for c in best:
            paths = expected.paths.get((c.completes, c.text), {"": 0.0})
            assert c.probability <= sum(paths.values()) + expected.undecided + 1e-6
            assert c.probability < least or c.probability >= 0.9 * expected.likeliest(
                c.completes, c.text
            )


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_a_search_that_is_cut_short_has_paths_left(level):
    assert search(level, 1, "", rounds=0, count=8).take(1)
    assert search(level, 1, "", rounds=1, width=1, count=30).take(1)
    assert not search(level, 1, "", rounds=300, width=1, count=3).take(1)


@pytest.mark.parametrize("level", ["char", "subword", "word"])
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


# Groups


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_words_that_complete_and_words_that_follow_are_two_groups(level, prompt, seed):
    expected = ORACLES[level](seed, prompt)
    sums = expected.sums()
    shares = {kind: sum(p for key, p in sums.items() if key[0] is kind) for kind in (True, False)}
    one = predictor(level, seed)
    completes, follows = one._grammar.shares(one.context(prompt), one._begin_step)
    slack = expected.undecided + 0.02  # an unlikely apostrophe is in neither group
    assert completes == pytest.approx(shares[True], abs=slack)
    assert follows == pytest.approx(shares[False], abs=slack)
    groups = one.groups(prompt, 3)
    if min(completes, follows) < LEAST_SHARE:
        assert len(groups) == 1
        assert sorted(groups[0], key=lambda p: -p.probability) == groups[0]
        return
    assert [len({p.kind for p in group}) for group in groups] == [1, 1]
    assert groups[0][0].probability >= groups[1][0].probability
    assert one.predict(prompt, 3) == groups[0] + groups[1]
    for group in groups:
        kind = group[0].kind == "completes"
        assert len(group) == 3
        own = {text: expected.likeliest(kind, text) for k, text in expected.paths if k is kind}
        for p in group:
            assert p.probability <= sums.get((kind, p.text), 0.0) + expected.undecided + 1e-6
            assert p.probability >= 0.9 * own.get(p.text, 0.0)
        listed = {p.text for p in group}
        missed = (mass for text, mass in own.items() if text not in listed)
        last = group[-1].probability
        assert all(0.9 * mass <= max(last, 1e-4) for mass in missed)


def test_a_group_is_complete_however_unlikely_it_is():
    class Rare(Chain):
        def __init__(self):
            super().__init__(CHARS.vocab_size, 1)
            self.table[:] = 0
            self.table[CHARS.encode("a")[0], CHARS.encode(" ")[0]] = 4.0

    (likely, rare) = Predictor(Rare(), CHARS).groups("a", 8)
    assert ([p.kind for p in likely], [p.kind for p in rare]) == (
        ["follows"] * 8,
        ["completes"] * 8,
    )
    assert sum(p.probability for p in rare) < 0.05


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("prompt", ["a", " ab", "b a"])
def test_the_first_word_of_a_phrase_decides_its_group(level, prompt):
    for seed in (1, 2, 3):
        one = predictor(level, seed)
        groups = one.groups(prompt, 3, words=2)
        assert {group[0].kind for group in groups} == {
            group[0].kind for group in one.groups(prompt, 3)
        }
        typed = TYPED.search(prompt)[0]
        for phrase in [phrase for group in groups for phrase in group]:
            first = next(tokens_of(typed + phrase.append))
            assert (len(first) > len(typed)) is (phrase.kind == "completes")


def end_of(text):
    """Return the characters that end the last token of a text when they follow."""
    last = list(tokens_of(text))[-1]
    return [c for c in CHARS.vocabulary if c != "'" and len(list(tokens_of(last + c))) > 1]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("words", [2, 3])
def test_the_probability_of_a_phrase_is_that_of_its_text(prompt, words):
    engine = chain("char", 2)
    allowed = [END_OF_DOCUMENT, *range(2, CHARS.vocab_size)]
    phrases = predictor("char", 2).predict(prompt, 4, words=words)
    for kind in ("completes", "follows"):
        group = [phrase for phrase in phrases if phrase.kind == kind]
        assert len(group) <= 4
        assert group == sorted(group, key=lambda phrase: -phrase.probability)
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
                mass *= row[END_OF_DOCUMENT] + sum(row[token_id] for token_id in ending)
        assert phrase.probability == pytest.approx(mass, rel=1e-5), phrase
        assert phrase.text.endswith(phrase.append.lstrip())


def test_tokens_after_a_space_that_was_never_seen_are_predicted():
    tokenizer = subwords("ab", "ab")
    one = Predictor(Chain(tokenizer.vocab_size, 1), tokenizer)
    found = one.predict_tokens("ab ", 9)
    assert sum(p.probability for p in found) == pytest.approx(1)


# The number of predictions


class Sharp(Chain):
    """A chain that is almost certain of each next token. Others have 1e-4 to 1e-26."""

    def __init__(self, vocab_size, seed, rare=()):
        super().__init__(vocab_size, seed)
        self.table *= 8
        self.table[:, list(rare)] -= 20


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("prompt", ["", "a", "b a", " a'", "1", "a ", "."])
@pytest.mark.parametrize("words_only", [False, True])
@pytest.mark.parametrize("words", [1, 2])
def test_there_are_as_many_predictions_as_requested(level, prompt, words_only, words):
    """Some texts never end, so there are infinitely many words of any probability."""
    for seed in (1, 2, 3):
        tokenizer = TOKENIZERS[level]
        one = Predictor(Sharp(tokenizer.vocab_size, seed), tokenizer)
        for count in (1, 4, 12):
            groups = one.groups(prompt, count, words=words, words_only=words_only)
            assert [len(group) for group in groups] == [count] * len(groups)
            assert groups or one.context(prompt).logits.argmax() != END_OF_DOCUMENT


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
def test_all_existing_predictions_are_returned(ends, count):
    tokenizer = CharTokenizer(tuple("中文 "))  # two words, white space and the end
    for seed in range(6):
        for engine in (Chain(5, seed), Sharp(5, seed), Sharp(5, seed, [3])):
            one = Predictor(engine, tokenizer, grammar_of(tokenizer, ends=ends))
            for prompt in ("", "中", "中 "):
                found = one.predict(prompt, count)
                names = [p.text or p.special for p in found]
                assert len(names) == len({*names}) == min(count, 2 + ends)
                assert {*names} <= {"中", "文", "end"}


# Texts in which no word ends


@pytest.mark.parametrize("prompt", ["", "GAT", "GATTACA" * 9])
def test_where_no_word_ends_there_are_no_predictions(prompt):
    tokenizer = CharTokenizer(tuple("\nACGT"))
    table = np.zeros((7, 7), np.float32)
    for least, found in [(-9, False), (-2, True)]:
        engine = Chain(7, 1)
        engine.table = table.copy()
        engine.table[:, [END_OF_DOCUMENT, 2]] = least
        one = Predictor(engine, tokenizer)
        for words in (1, 2):
            assert bool(one.predict(prompt, 3, words=words)) is found
        assert len(one.predict_tokens(prompt, 4)) == 4


def test_an_end_of_document_that_is_not_learned_does_not_end_a_word():
    tokenizer = CharTokenizer(tuple("ACGT"))
    one = Predictor(Chain(6, 1), tokenizer, grammar_of(tokenizer, ends=False))
    assert one.predict("GAT") == []
    assert Predictor(Chain(6, 1), tokenizer).predict("GAT")
    words = WordTokenizer((*"ab ", " a", " b"))
    ends = grammar_of(words, ends=False)
    found = Predictor(Chain(words.vocab_size, 1), words, ends).predict("a", 30)
    assert found
    assert not [p for p in found if p.special]


def test_words_only_can_leave_no_predictions():
    tokenizer = CharTokenizer(tuple(".!"))
    assert Predictor(Chain(4, 1), tokenizer).predict("", 3)
    assert Predictor(Chain(4, 1), tokenizer).predict("", 3, words_only=True) == []


# A real engine


@cache
def model(level, precision):
    size = TOKENIZERS[level].vocab_size
    config = ModelConfig(vocab_size=size, embedding=6, units=12, layers=2)
    rng = np.random.default_rng(4)
    shapes = expected_shapes(config)
    weights = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return build_engine(config, weights, precision=precision, threads=1)


levels = st.sampled_from(["char", "subword", "word"])
precisions = st.sampled_from(["int8", "float32"])
prompts = st.text(st.sampled_from("ab'1. \n€"), max_size=12)


@settings(max_examples=40)
@given(levels, precisions, st.lists(prompts, min_size=1, max_size=12), st.booleans())
def test_a_batch_predicts_the_same_as_single_contexts(level, precision, texts, completions_only):
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
def test_cached_prompts_do_not_change_predictions(level, precision, edits):
    engine, tokenizer = model(level, precision), TOKENIZERS[level]
    session, text = Predictor(engine, tokenizer), "a b. ab\n" * 12
    for keep, more in edits:
        text = text[:keep] + more
        found, expected = session.context(text), Predictor(engine, tokenizer).context(text)
        np.testing.assert_array_equal(found.logits, expected.logits)
        assert_states_equal(found.state, expected.state)
        assert (found.typed, found.unread) == (expected.typed, expected.unread)
        assert session.predict(text, 2) == Predictor(engine, tokenizer).predict(text, 2)


def test_only_new_tokens_of_a_prompt_are_read():
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
    for length in range(500):
        session.context("ab1"[length % 3] * length)
    assert len(session.prompts._ends) <= 48


@given(levels, precisions, prompts)
def test_tokens_are_those_of_the_model(level, precision, prompt):
    engine, tokenizer = model(level, precision), TOKENIZERS[level]
    found = Predictor(engine, tokenizer).predict_tokens(prompt, 100)
    begun = level != "char" and prompt.endswith(" ")
    ids = [END_OF_DOCUMENT, *tokenizer.encode(prompt[:-1] if begun else prompt).tolist()]
    logits, _ = engine.read([np.array(ids)])
    masses = np.exp(logits[0].astype(np.float64))
    if begun:
        for token_id, piece in enumerate(tokenizer.pieces):
            spelled = tokenizer.spells and token_id == BEGIN_SPELLING
            masses[token_id] *= piece.startswith(" ") or spelled
    masses /= masses.sum()
    assert sum(p.probability for p in found) == pytest.approx(1)
    assert [p.probability for p in found] == pytest.approx(sorted(masses[masses > 0])[::-1])
    named = {p.text or p.special: p for p in found}
    for token_id, name in [(END_OF_DOCUMENT, "end"), (UNKNOWN, "unknown")]:
        if not begun:
            assert named[name].probability == pytest.approx(masses[token_id])
            assert named[name].append == ""
    for prediction in found:
        if not prediction.special:
            assert prediction.text == (" " if begun else "") + prediction.append
            assert prediction.text in tokenizer.vocabulary


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_many_contexts_are_searched_in_groups(level, monkeypatch):
    one = Predictor(model(level, "int8"), TOKENIZERS[level])
    contexts = [one.context(prompt) for prompt in PROMPTS]
    whole = one.likeliest(contexts, 3)
    monkeypatch.setattr("charlstm.prediction.predictor._FLOATS", 1)
    assert one.likeliest(contexts, 3) == whole
    assert one.likeliest([], 3) == []


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
