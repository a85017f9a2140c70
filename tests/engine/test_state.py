"""The states of rows, of one array or of three: taken, joined, replaced and reset."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.engine.state import State, joined
from tests.oracles import assert_states_equal

KINDS = st.sampled_from(["plain", "float32", "uint8"])


def state_of(kind, rows, seed=0):
    rng = np.random.default_rng(seed)
    cells = rng.normal(size=(4, rows, 3)).astype(np.float32)
    if kind == "plain":
        return State(cells)
    window = (255 * rng.random((rows, 5, 3))).astype(kind)
    return State(cells, window, rng.integers(0, 6, (rows, 1)).astype(np.float32))


@given(KINDS, st.integers(1, 6), st.data())
def test_rows_are_taken_from_every_part(kind, rows, data):
    state = state_of(kind, rows)
    chosen = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=8)), np.int64)
    taken = state[chosen]
    assert len(taken) == len(chosen)
    for index, row in enumerate(chosen.tolist()):
        assert_states_equal(taken.row(index), state.row(row))
    assert_states_equal(state.row(0).repeated(3), state[np.zeros(3, np.int64)])


@given(KINDS, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_joining_undoes_dividing(kind, sizes):
    state = state_of(kind, sum(sizes))
    cuts = np.cumsum([0, *sizes]).tolist()
    parts = [state[start:stop] for start, stop in pairwise(cuts)]
    assert_states_equal(joined(parts), state)


@pytest.mark.parametrize("kind", ["plain", "float32", "uint8"])
def test_a_row_is_replaced(kind):
    state, other = state_of(kind, 4), state_of(kind, 1, seed=1)
    before = state.copy()
    state.put(2, other)
    assert_states_equal(state.row(2), other)
    assert_states_equal(state[np.array([0, 1, 3])], before[np.array([0, 1, 3])])


@pytest.mark.parametrize("kind", ["plain", "float32", "uint8"])
def test_rows_are_reset(kind):
    state = state_of(kind, 3)
    reset = state.kept(np.array([[1.0], [0.0], [1.0]], np.float32))
    assert_states_equal(reset[np.array([0, 2])], state[np.array([0, 2])])
    assert not reset.row(1).parts[0].any()
    if kind != "plain":
        assert reset.row(1).parts[2] == 0  # the window is empty, whatever is in it


def test_the_size_of_a_row():
    assert state_of("plain", 3).floats == 12
    assert state_of("float32", 3).floats == 12 + 15 + 1
    assert state_of("uint8", 4).floats == (4 * 12 + 15 + 4) // 4
    assert state_of("plain", 2).cells.shape == (2, 2, 3)
    assert len(state_of("plain", 2).tobytes()) == 96
