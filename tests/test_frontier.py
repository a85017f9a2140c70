"""Tests of ``charlstm.frontier``: the likeliest ways first, and when a search is over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.frontier import Frontier, Node

STATE = np.zeros((2, 1), np.float32)
masses = st.lists(st.floats(1e-3, 1), min_size=1, max_size=30)


def node(mass, text="a"):
    return Node(mass, 0, text, text, False, 0, STATE)


@given(masses, st.integers(1, 10))
def test_the_likeliest_ways_are_taken_first(values, width):
    frontier = Frontier(1, least=0.0)
    for mass in values:
        frontier.push(node(mass), mass)
    assert frontier.left() == pytest.approx(sum(values))
    taken = []
    while some := frontier.take(width):
        assert len(some) <= width
        taken += [way.mass for way in some]
    assert taken == sorted(values, reverse=True)
    assert frontier.left() == 0


@given(masses, masses, st.integers(1, 5))
def test_a_search_is_over_when_no_way_can_be_a_candidate(ways, found, count):
    frontier = Frontier(count, least=0.0)
    for mass in ways:
        frontier.push(node(mass), mass)
    for index, mass in enumerate(found):
        frontier.find(False, str(index), "", mass)
    while frontier.take(3):
        pass
    last = sorted(found, reverse=True)[count - 1] if count <= len(found) else 0.0
    assert frontier.is_certain()
    assert frontier.left() <= sum(mass for mass in ways if mass <= last) + 1e-9
    assert [c.probability for c in frontier.best()] == sorted(found, reverse=True)[:count]


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans(), st.floats(1e-6, 1)), min_size=1))
def test_a_candidate_sums_its_ways_and_names_the_likeliest(found):
    frontier = Frontier(10, least=0.0)
    for index, (text, completes, mass) in enumerate(found):
        frontier.find(completes, text, str(index), mass, node(mass))
    for candidate in frontier.best():
        own = [
            (mass, str(index))
            for index, (text, completes, mass) in enumerate(found)
            if (text, completes) == (candidate.text, candidate.completes)
        ]
        assert candidate.probability == pytest.approx(sum(mass for mass, _ in own))
        assert candidate.likeliest == max(own)[0]
        assert (candidate.likeliest, candidate.append) in own


def test_a_way_that_can_not_be_gone_on_from_is_the_likeliest_only_alone():
    frontier = Frontier(1, least=0.0)
    frontier.find(False, "a", "long", 0.5)
    frontier.find(False, "a", "short", 0.1, node(0.1))
    (candidate,) = frontier.best()
    assert (candidate.append, candidate.likeliest, candidate.probability) == ("short", 0.1, 0.6)


def test_only_words_count_if_asked():
    frontier = Frontier(2, words_only=True, least=0.0)
    for text in ("", ",", "a", "7"):
        frontier.find(False, text, text, 0.1)
    assert [candidate.text for candidate in frontier.best()] == ["7", "a"]


def test_what_is_too_unlikely_is_dropped():
    frontier = Frontier(4)
    frontier.push(node(1e-5), 1e-5)
    assert frontier.left() == 0
    frontier.push(node(1e-5), 1e-3)
    assert frontier.left() == 1e-5
    assert not frontier.is_certain()
