"""Tests of ``prediction.best_first_search``: most likely paths first, and the end of a search."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.prediction.best_first_search import BestFirstSearch, Node

STATE = np.zeros((2, 1), np.float32)
probabilities = st.lists(st.floats(1e-3, 1), min_size=1, max_size=30)


def node(probability, text="a"):
    return Node(probability, 0, text, text, False, 0, STATE)


@given(probabilities, st.integers(1, 10))
def test_the_most_likely_paths_are_taken_first(values, width):
    search = BestFirstSearch(1, least=0.0)
    for probability in values:
        search.push(node(probability), probability)
    taken = []
    while paths := search.take(width):
        assert len(paths) <= width
        taken += [path.probability for path in paths]
    assert taken == sorted(values, reverse=True)


@given(probabilities, probabilities, st.integers(1, 5))
def test_a_search_is_over_when_no_path_can_be_a_candidate(paths, found, count):
    search = BestFirstSearch(count, least=0.0)
    for probability in paths:
        search.push(node(probability), probability)
    for index, probability in enumerate(found):
        search.add(False, str(index), "", probability)
    taken = []
    while nodes := search.take(3):
        taken += [path.probability for path in nodes]
    last = sorted(found, reverse=True)[count - 1] if count <= len(found) else 0.0
    assert taken == sorted(paths, reverse=True)[: len(taken)]
    assert all(probability <= last for probability in sorted(paths, reverse=True)[len(taken) :])
    assert [c.probability for c in search.best()] == sorted(found, reverse=True)[:count]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(1e-6, 1)), min_size=1))
def test_a_candidate_sums_its_paths_and_names_the_most_likely(found):
    search = BestFirstSearch(10, least=0.0)
    for index, (text, completes, probability) in enumerate(found):
        search.add(completes, text, str(index), probability, node(probability))
    for candidate in search.best():
        own = [
            (probability, str(index))
            for index, (text, completes, probability) in enumerate(found)
            if (text, completes) == (candidate.text, candidate.completes)
        ]
        assert candidate.probability == pytest.approx(sum(probability for probability, _ in own))
        assert candidate.likeliest == max(own)[0]
        assert (candidate.likeliest, candidate.append) in own


def test_a_path_that_can_not_be_extended_is_named_only_if_alone():
    search = BestFirstSearch(1, least=0.0)
    search.add(False, "a", "long", 0.5)
    search.add(False, "a", "short", 0.1, node(0.1))
    (candidate,) = search.best()
    assert (candidate.append, candidate.likeliest, candidate.probability) == ("short", 0.1, 0.6)


def test_only_words_count_if_asked():
    search = BestFirstSearch(2, words_only=True, least=0.0)
    for text in ("", ",", "a", "7"):
        search.add(False, text, text, 0.1)
    assert [candidate.text for candidate in search.best()] == ["7", "a"]


def test_paths_that_are_too_unlikely_are_dropped():
    search = BestFirstSearch(4)
    search.push(node(1e-5), 1e-5)
    assert not search.take(1)
    search.push(node(1e-5), 1e-3)
    (taken,) = search.take(1)
    assert taken.probability == 1e-5
