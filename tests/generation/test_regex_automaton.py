"""Tests of ``generation.regex_automaton``: what Python's own engine matches, and how far it is."""

from __future__ import annotations

import re
import sys
from itertools import product
from re import _constants as ops

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import UsageError
from charlstm.generation.regex_automaton import DEAD, NEVER, Automaton

ALPHABET = ("a", "b", "A", "\n")
TEXTS = ["".join(text) for length in range(5) for text in product(ALPHABET, repeat=length)]
ATOMS = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "[ab]",
        "[^a]",
        r"\w",
        r"\S",
        r"\s",
        "A",
        "é",
        "(?s:.)",
        "(?i:b)",
        r"[^\W\d]",
        "",
    ]
)  # fmt: skip
COUNTS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "*?", "{1,}?"])
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(
            inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{,2}", "*?", "{1,}?"])
        ).map(lambda two: f"(?:{two[0]}){two[1]}"),
        inner.map(lambda one: f"^{one}$"),
    ),
    max_leaves=6,
)


def walked(automaton, text):
    state = automaton.start
    for character in text:
        state = automaton.move(state, character)
    return state


@given(EXPRESSIONS)
def test_it_accepts_what_python_matches(expression):
    automaton = Automaton(expression, ALPHABET)
    for text in TEXTS:
        # A "$" before a newline at the end has no place here: nothing may follow it.
        matches = re.fullmatch(expression.replace("$", r"\Z"), text) is not None
        assert bool(automaton.accepting[walked(automaton, text)]) == matches, (expression, text)


@given(EXPRESSIONS)
def test_distances_are_those_of_the_nearest_match(expression):
    automaton = Automaton(expression, ALPHABET)
    states = {text: walked(automaton, text) for text in TEXTS}
    for text in TEXTS:
        if len(text) > 2:
            continue
        nearest = [
            len(longer) - len(text)
            for longer in TEXTS
            if longer.startswith(text) and automaton.accepting[states[longer]]
        ]
        distance = int(automaton.distances[states[text]])
        if nearest:
            assert distance == min(nearest)
        else:
            assert distance > 4 - len(text)


@given(EXPRESSIONS, st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5))
def test_many_moves_are_each_as_one(expression, texts):
    automaton = Automaton(expression, ALPHABET)
    for text in texts:
        state = walked(automaton, text)
        columns = np.arange(len(ALPHABET) + 1, dtype=np.int32)
        after = automaton.moves(np.full(len(columns), state, np.int32), columns)
        assert after.tolist() == [automaton.move(state, each) for each in ALPHABET] + [DEAD]


def test_many_states_are_remembered():
    automaton = Automaton("(a|b)*a(a|b){8}", ("a", "b"))
    rng = np.random.default_rng(1)
    for text in ("".join(rng.choice(["a", "b"], 40)) for _ in range(50)):
        state = walked(automaton, text)
        assert bool(automaton.accepting[state]) == (text[-9] == "a")
        assert walked(automaton, text) == state


def test_what_the_alphabet_lacks_is_read_and_not_written():
    automaton = Automaton("é?a|éb", ("a",))
    state = automaton.move(automaton.start, "é")
    assert automaton.distances[automaton.start] == 1
    assert automaton.distances[state] == 1
    assert automaton.accepting[automaton.move(state, "b")]
    assert Automaton("é", ("a",)).distances[1] == NEVER


@pytest.mark.parametrize("expression", ["(?=a)b", r"(a)\1", r"\b", "(?m)^a", "a++", "(?>a)", "["])
def test_what_has_no_automaton_is_refused(expression):
    with pytest.raises(UsageError, match=re.escape(repr(expression))):
        Automaton(expression, ALPHABET)


# What the parser of ``re``, which is not public, may find in an expression since Python 3.11.
OPCODES = """
    FAILURE SUCCESS ANY ANY_ALL ASSERT ASSERT_NOT AT BRANCH CATEGORY CHARSET BIGCHARSET GROUPREF
    GROUPREF_EXISTS IN INFO JUMP LITERAL MARK MAX_UNTIL MIN_UNTIL NOT_LITERAL NEGATE RANGE REPEAT
    REPEAT_ONE SUBPATTERN MIN_REPEAT_ONE ATOMIC_GROUP POSSESSIVE_REPEAT POSSESSIVE_REPEAT_ONE
    GROUPREF_IGNORE IN_IGNORE LITERAL_IGNORE NOT_LITERAL_IGNORE GROUPREF_LOC_IGNORE IN_LOC_IGNORE
    LITERAL_LOC_IGNORE NOT_LITERAL_LOC_IGNORE GROUPREF_UNI_IGNORE IN_UNI_IGNORE LITERAL_UNI_IGNORE
    NOT_LITERAL_UNI_IGNORE RANGE_UNI_IGNORE
    AT_BEGINNING AT_BEGINNING_LINE AT_BEGINNING_STRING AT_BOUNDARY AT_NON_BOUNDARY AT_END
    AT_END_LINE AT_END_STRING AT_LOC_BOUNDARY AT_LOC_NON_BOUNDARY AT_UNI_BOUNDARY
    AT_UNI_NON_BOUNDARY
    CATEGORY_DIGIT CATEGORY_NOT_DIGIT CATEGORY_SPACE CATEGORY_NOT_SPACE CATEGORY_WORD
    CATEGORY_NOT_WORD CATEGORY_LINEBREAK CATEGORY_NOT_LINEBREAK CATEGORY_LOC_WORD
    CATEGORY_LOC_NOT_WORD CATEGORY_UNI_DIGIT CATEGORY_UNI_NOT_DIGIT CATEGORY_UNI_SPACE
    CATEGORY_UNI_NOT_SPACE CATEGORY_UNI_WORD CATEGORY_UNI_NOT_WORD CATEGORY_UNI_LINEBREAK
    CATEGORY_UNI_NOT_LINEBREAK
"""


def test_the_parser_of_python_knows_no_other_opcodes():
    found = {str(opcode) for opcode in (*ops.OPCODES, *ops.ATCODES, *ops.CHCODES)}
    if found != set(OPCODES.split()):
        pytest.fail(
            f"re._parser of Python {sys.version.split()[0]} has other opcodes than those that "
            f"the automaton was written for: {sorted(found ^ set(OPCODES.split()))}. Check "
            "that it translates or refuses each new one and needs none that is gone, then add or "
            "remove it here"
        )
