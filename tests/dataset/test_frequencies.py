"""Tests of ``dataset.frequencies``: log frequencies, and the loss of predicting by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.dataset import store
from charlstm.dataset.frequencies import frequency_loss, log_frequencies
from tests.dataset.helpers import levels, prepared, written

ids = st.lists(st.integers(0, 6), max_size=60).map(lambda drawn: np.array(drawn, np.uint8))


@given(ids, ids)
def test_the_loss_is_the_mean_surprisal_of_smoothed_frequencies(train, text):
    loss = frequency_loss(train, text, 7)
    if text.size < 2:
        assert loss is None
        return
    shares = [(train.tolist().count(token) + 1) / (train.size + 7) for token in range(7)]
    assert sum(shares) == pytest.approx(1)
    expected = -np.mean([np.log(shares[token]) for token in text[1:]])
    assert loss == pytest.approx(expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_BLOCK", 4)
        assert frequency_loss(train, text, 7) == loss


@given(ids)
def test_the_probabilities_sum_to_one_and_none_is_zero(train):
    shares = np.exp(log_frequencies(train, 7))
    assert shares.sum() == pytest.approx(1)
    assert (shares > 0).all()
    assert (
        np.argsort(shares, kind="stable")
        == np.argsort(np.bincount(train, minlength=7), kind="stable")
    ).all()


@levels
def test_the_loss_is_in_the_statistics(tmp_path, level):
    result = prepared(written(tmp_path, "The cat sat. The rat ran.\n" * 80), level)
    store, size = result.store, result.tokenizer.vocab_size
    expected = frequency_loss(store.train, store.valid, size)
    assert result.statistics.frequency_loss == expected
    assert 0 < expected < np.log(size)
