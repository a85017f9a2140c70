"""Tests of ``prediction.line_reading``: lines are scored as if each were read alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charlstm.metrics import log_softmax
from charlstm.prediction.line_reading import LineReading
from charlstm.prediction.prompt_cache import PromptCache
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.models import random_model

V = random_model("float32").vocab_size
tokens = st.lists(st.integers(1, V - 1), max_size=12)


def read_alone(engine, line, *, ends, closing):
    """Return the log-probability of a line, token by token."""
    state, total = engine.initial_state(1), 0.0
    for last, token in zip([END_OF_DOCUMENT, *line], [*line, END_OF_DOCUMENT], strict=True):
        logits, state = engine.step(np.array([last]), state)
        found = log_softmax(logits)[0]
        if token != END_OF_DOCUMENT or ends:
            total += found[token]
    if closing is not None and not ends:
        total += np.logaddexp.reduce(found[closing])
    return total


def totals(engine, lines, **options):
    reading = LineReading(engine, PromptCache(engine, spells=False), lines, **options)
    while reading.advance():
        pass
    return reading.totals


@pytest.mark.parametrize("precision", ["float32", "int8"])
@settings(deadline=None, max_examples=30)
@given(
    before=tokens,
    middles=st.lists(tokens.filter(bool), min_size=1, max_size=5, unique_by=tuple),
    after=tokens,
    ends=st.booleans(),
    closes=st.booleans(),
)
def test_lines_are_scored_as_if_read_alone(precision, before, middles, after, ends, closes):
    engine = random_model(precision)
    closing = np.arange(V) % 3 == 0 if closes else None
    lines = [np.array([*before, *middle, *after], np.int64) for middle in middles]
    found = totals(engine, lines, ends=ends, closing=closing)
    expected = np.array([read_alone(engine, line, ends=ends, closing=closing) for line in lines])
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    before=tokens,
    middles=st.lists(tokens.filter(bool), min_size=2, max_size=6, unique_by=tuple),
    after=tokens,
    draw=st.randoms(use_true_random=False),
)
def test_the_lines_that_are_kept_do_not_depend_on_the_others(before, middles, after, draw):
    engine = random_model("float32")
    lines = [np.array([*before, *middle, *after], np.int64) for middle in middles]
    every = totals(engine, lines, ends=True)
    reading = LineReading(engine, PromptCache(engine, spells=False), lines, ends=True)
    rows = np.arange(len(lines))
    while reading.advance():
        kept = np.array([draw.random() < 0.8 for _ in rows])
        kept[draw.randrange(len(rows))] = True
        rows = rows[kept]
        reading.keep(kept)
    np.testing.assert_array_equal(reading.totals, every[rows])
