"""Tests of ``dataset.excerpts``: positions and lengths of excerpts of a validation text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.dataset.excerpts import (
    Excerpts,
    excerpts_of,
    in_whole_batches,
    lengths_of,
    tokens_read,
)
from charlstm.tokenizer.base import BEGIN_SPELLING
from charlstm.tokenizer.char import CharTokenizer
from tests.dataset.helpers import PROSE, prepared, written

sizes = st.integers(1, 20_000) | st.integers(1, 10**10)


def positions(excerpts):
    """Return the positions that count, stream by stream."""
    parts = zip(*(part.tolist() for part in excerpts), strict=True)
    return [first + n for first, count in parts for n in range(count)]


@given(st.integers(1, 3000), st.integers(1, 4000), st.integers(1, 20), st.integers(1, 40))
def test_the_requested_number_of_tokens_counts_each_once(targets, counted, max_streams, warm):
    excerpts = excerpts_of(targets, counted, max_streams=max_streams, warm=warm)
    counting = positions(excerpts)
    assert counting == sorted(set(counting))
    assert len(counting) == min(counted, targets)
    assert counting[0] == 0
    assert counting[-1] < targets


@given(sizes, st.integers(1, 200_000))
def test_excerpts_are_spread_evenly(targets, counted):
    first, counts = excerpts_of(targets, counted)
    assert first.dtype == counts.dtype == np.int64
    gaps = np.diff(first) - counts[:-1]
    assert (gaps >= 0).all()
    assert not gaps.size or gaps.max() - gaps.min() <= 1
    after = targets - first[-1] - counts[-1]
    assert not gaps.size or abs(after - gaps[-1]) <= 1
    assert counts[0] - counts[-1] < counts.size


@given(sizes)
def test_there_are_no_gaps_if_the_whole_text_counts(targets):
    whole = excerpts_of(targets)
    first, counts = whole
    assert np.array_equal(first, np.arange(first.size) * counts[0])
    for counted in (targets, targets + 1):
        same = excerpts_of(targets, counted)
        assert all(map(np.array_equal, same, whole))


def test_every_stream_counts_more_tokens_than_its_warm_up():
    for counted, streams, read in ((20_000, 39, 640), (65_536, 128, 512), (200_000, 128, 1664)):
        excerpts = excerpts_of(7_200_000, counted)
        assert excerpts.first.size == streams
        assert excerpts.counts.min() > 480
        assert tokens_read(7_200_000, counted) == streams * (256 + read)


@given(st.integers(128, 1_000_000))
def test_every_token_in_whole_batches_counts(counted):
    whole = in_whole_batches(counted)
    excerpts = excerpts_of(10**7, whole)
    assert 0.75 * counted - 128 < whole <= counted
    assert set(excerpts.counts.tolist()) == {excerpts.counts[0]}
    assert tokens_read(10**7, whole) == whole + 256 * excerpts.first.size


def test_excerpts_cover_many_documents():
    """In 100 documents of 72,000 tokens each, 39 excerpts are in different ones."""
    first, _ = excerpts_of(7_200_000, 20_000)
    assert len(set((first // 72_000).tolist())) == 39


def test_an_empty_text_is_not_read():
    assert tokens_read(0) == tokens_read(0, 100) == 0


# Lengths


@pytest.mark.parametrize("level", ["char", "subword", "word"])
@pytest.mark.parametrize("lines", [True, False])
def test_the_length_of_a_whole_text_matches_the_statistics(tmp_path, level, lines):
    texts = [PROSE + "".join(f"{n} unfamiliar{n} words\n" for n in range(200)), PROSE]
    result = prepared(written(tmp_path, *texts), level, lines=lines, valid_fraction=0.4)
    store, statistics = result.store, result.statistics
    whole = excerpts_of(store.valid_tokens)
    assert lengths_of(store.valid, whole, result.tokenizer, ends_count=lines) == (
        statistics.valid_characters,
        statistics.valid_words,
    )


def test_a_spelled_word_that_spans_excerpts_counts_once(tmp_path):
    text = "The cat sat. (unheard,of the xylo) ran!\n" + "The cat sat. The cat ran.\n" * 60
    result = prepared(written(tmp_path, text[41:], text), "word", valid_fraction=0.5)
    ids, tokenizer = result.store.valid, result.tokenizer
    targets = ids.size - 1
    whole = lengths_of(ids, excerpts_of(targets, warm=10**6), tokenizer, ends_count=False)
    assert (ids == BEGIN_SPELLING).any()
    for length in (1, 2, 3, 5, 7):
        first = np.arange(0, targets, length)
        excerpts = Excerpts(first, np.minimum(length, targets - first))
        assert lengths_of(ids, excerpts, tokenizer, ends_count=False) == whole


@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=80),
    st.lists(st.integers(1, 79), max_size=8, unique=True),
    st.booleans(),
)
def test_the_lengths_of_adjacent_excerpts_add_up(ids, cuts, ends_count):
    """No character or word belongs to two excerpts."""
    tokenizer = CharTokenizer((" ", "a", "b", "\n"))
    ids = np.array(ids, np.uint8)
    first = np.array(sorted({0, *(cut for cut in cuts if cut < ids.size - 1)}))
    counts = np.diff([*first, ids.size - 1])
    found = lengths_of(ids, Excerpts(first, counts), tokenizer, ends_count=ends_count)
    whole = excerpts_of(ids.size - 1, warm=1000)
    assert found == lengths_of(ids, whole, tokenizer, ends_count=ends_count)
    text = "".join(["\n" if token == 0 else tokenizer.pieces[token] for token in ids.tolist()])
    ends = int((ids[1:] == 0).sum())
    begun = len(text.split()) - (not text[0].isspace())
    assert found == (ids.size - 1 - (0 if ends_count else ends), begun)
