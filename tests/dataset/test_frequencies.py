"""Tests of ``dataset.frequencies``: the loss of plain token frequencies."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.dataset import store
from charlstm.dataset.frequencies import frequency_loss
from tests.dataset.helpers import levels, prepared, written

ids = st.lists(st.integers(0, 6), max_size=60).map(lambda drawn: np.array(drawn, np.uint8))


@given(ids, ids)
def test_it_is_the_mean_surprise_at_smoothed_frequencies(train, text):
    loss = frequency_loss(train, text, 7)
    if text.size < 2:
        assert loss is None
        return
    shares = [(train.tolist().count(token) + 1) / (train.size + 7) for token in range(7)]
    assert sum(shares) == pytest.approx(1)
    expected = -np.mean([np.log(shares[token]) for token in text[1:]])
    assert loss == pytest.approx(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_BLOCK", 5)
        assert frequency_loss(train, text, 7) == loss


@levels
def test_it_is_in_the_statistics(tmp_path, level):
    result = prepared(written(tmp_path, "The cat sat. The rat ran.\n" * 80), level)
    store, size = result.store, result.tokenizer.vocab_size
    expected = frequency_loss(store.train, store.valid, size)
    assert result.statistics.frequency_loss == expected
    assert 0 < expected < np.log(size)
