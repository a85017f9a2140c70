"""Tests of ``generation.dead_ends``: the longest paths equal those of an enumeration."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from charlstm.generation.dead_ends import longest_paths

GRAPHS = st.dictionaries(st.integers(0, 5), st.sets(st.integers(0, 5)), max_size=6)


def walked(graph, state, most=9):
    """Return the maximum number of steps from a state. More than 9 steps are a cycle."""
    if most == 0:
        return 0
    return max((1 + walked(graph, after, most - 1) for after in graph.get(state, ())), default=0)


@given(GRAPHS)
def test_the_longest_path_from_each_state(graph):
    graph = {state: set(sorted(after)[:2]) for state, after in graph.items()}
    steps = longest_paths(0, lambda state: graph.get(state, ()))
    for state, found in steps.items():
        expected = walked(graph, state)
        assert found == (math.inf if expected == 9 else expected)
    assert {after for state in steps for after in graph.get(state, ())} <= steps.keys()
