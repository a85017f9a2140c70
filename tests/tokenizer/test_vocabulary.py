"""Tests of ``tokenizer.vocabulary``: building vocabularies in bounded memory."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import TokenizerConfig
from charlstm.tokenizer import vocabulary
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.wordwise import runs_of
from tests.tokenizer.helpers import (
    built,
    wordy,
)


@given(st.lists(wordy, max_size=6), st.integers(1, 3), st.integers(1, 5))
def test_the_vocabulary_is_the_characters_then_the_most_frequent_words(lines, count, size):
    texts = [line + "\n" for line in lines]
    tokenizer = built("word", *texts, min_count=count, vocab_size=size)
    tokens = Counter(token for token in tokens_of("".join(texts), 2) if len(token) > 1)
    frequent = [token for token in tokens if tokens[token] >= count]
    ranked = sorted(frequent, key=lambda token: (-tokens[token], token))
    assert tokenizer.vocabulary == (*sorted(set("".join(texts))), *ranked[:size])


@given(st.lists(wordy, max_size=6))
def test_chunks_do_not_matter_to_the_vocabulary(lines):
    texts = [line + "\n" for line in lines]
    for level in ("char", "word"):
        assert built(level, *texts) == built(level, "".join(texts))


def test_frequent_words_are_kept_in_bounded_memory(monkeypatch):
    """Most distinct tokens of a huge text occur once: hashes, serial numbers, typing errors."""
    frequent = {" the": 9, " cat": 7, " sat": 5, " hat": 3}
    everyday = "".join(word * times for word, times in frequent.items())
    rare = [" " + "".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]
    texts = [everyday + "".join(rare[n : n + 50]) + "\n" for n in range(0, len(rare), 50)]
    held, drop = [], vocabulary._drop_rare
    monkeypatch.setattr(vocabulary, "COUNTED_TOKENS", 300)
    monkeypatch.setattr(vocabulary, "COUNTED_RUNS", 20)
    monkeypatch.setattr(
        vocabulary, "_drop_rare", lambda counts: (held.append(len(counts)), drop(counts))
    )
    known = built("word", *texts, min_count=len(texts) * 3).vocabulary
    assert known == (*sorted(set("".join(texts))), *frequent)
    assert 300 < max(held) <= 300 + 20 + len(set(runs_of(texts[0])))
    assert len(set(tokens_of("".join(texts), 2))) > 10_000


def test_runs_as_long_as_a_text_are_not_collected(monkeypatch):
    """In Base64, DNA or Chinese, a whole text may have no space."""
    monkeypatch.setattr(vocabulary, "COUNTED_CHARACTERS", 1000)
    counter, gathered = vocabulary._TokenCounter(2), []
    for number in range(50):
        counter.add(f"abc{number}" * 40)
        gathered.append(sum(map(len, counter._runs)))
    assert max(gathered) <= 1000
    assert counter.counts()["abc"] == 50 * 40


@pytest.mark.parametrize("in_lines", [True, False])
def test_evenly_spaced_parts_of_a_long_text_are_counted(monkeypatch, in_lines):
    """The counts are about those of the whole text."""
    letters = str.maketrans("0123456789", "abcdefghij")
    lines = [
        f" common word{number % 7} rare{number}\n".translate(letters) for number in range(3000)
    ]
    texts = lines if in_lines else ["".join(lines)]
    characters = sum(map(len, lines))
    monkeypatch.setattr(vocabulary, "COUNTED", characters // 5)
    monkeypatch.setattr(vocabulary, "_PART", 200)
    config = TokenizerConfig(level="word", min_count=2500)
    known = vocabulary.build_tokenizer(texts, config, characters=characters).vocabulary
    assert [word for word in known if len(word) > 1] == [" common"]
    several = TokenizerConfig(level="word", min_count=100, vocab_size=8)
    known = vocabulary.build_tokenizer(texts, several, characters=characters).vocabulary
    words = {word for word in known if len(word) > 1}
    assert words == {" common", *(f" word{letter}" for letter in "abcdefg")}
    assert set("".join(lines)) == set(known) - words  # characters come from the whole text


@given(st.lists(wordy, max_size=6), st.integers(1, 3), st.integers(0, 9))
def test_a_text_within_the_limits_is_counted_exactly(lines, min_count, runs):
    texts = [line + "\n" for line in lines]
    expected = built("word", *texts, min_count=min_count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "COUNTED_TOKENS", len(set(tokens_of("".join(texts), 2))))
        patch.setattr(vocabulary, "COUNTED_RUNS", runs)
        assert built("word", *texts, min_count=min_count) == expected


@given(st.lists(wordy, max_size=8), st.integers(1, 12), st.integers(0, 9))
def test_counting_in_bounded_memory_drops_words_but_no_characters(lines, limit, runs):
    texts = [line + "\n" for line in lines]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "COUNTED_TOKENS", limit)
        patch.setattr(vocabulary, "COUNTED_RUNS", runs)
        tokenizer = built("word", *texts, min_count=1)
    exact = built("word", *texts, min_count=1)
    assert set(tokenizer.vocabulary) <= set(exact.vocabulary)
    characters = len(set("".join(texts)))
    assert tokenizer.vocabulary[:characters] == exact.vocabulary[:characters]
    assert tokenizer.decode(tokenizer.encode("".join(texts))) == "".join(texts)


def test_lone_surrogates_are_never_in_the_vocabulary():
    text = "a \ud800 \ud800 \ud800a é é\udfff\udfff" * 3
    assert built("char", text).vocabulary == (" ", "a", "é")
    assert built("word", text).vocabulary == (" ", "a", "é", " é")
