"""Tests of ``generation.regex_automaton``: it matches what Python's engine does, and distances."""

from __future__ import annotations

import re
import sys
from itertools import product
from re import _constants as ops

import numpy as np
import pytest
from hypothesis import given, settings
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
        inner.map(lambda one: rf"{one}\Z"),
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
        matches = re.fullmatch(expression, text) is not None
        assert bool(automaton.accepting[walked(automaton, text)]) == matches, (expression, text)


# Letters whose case changes are irregular, digits, spaces, and marks.
UNUSUAL = (
    "sS\u017fß\u1e9eiI\u0131\u0130kK\u212aåÅ\u212b\u00b5\u03bc\u039c\u03c3\u03c2\u03a3\u01c4\u01c5"
    "\u01c6\u1fb3\ufb05\ufb06\u03d1\u03b8zZ09\u0663\u0969_-\u0301\u00a0\u2028\r\n"
)
MEMBERS = st.sampled_from(
    [
        *(re.escape(letter) for letter in UNUSUAL),
        *("A-Z", "0-9", "i-\u0131", "ß-\u03bc", "K-\u212b"),
        *(r"\w", r"\W", r"\d", r"\D", r"\s", r"\S"),
    ]
)
ITEMS = st.one_of(
    MEMBERS.filter(lambda item: len(item) < 3),
    st.just("."),
    st.builds(
        "[{}{}]".format, st.sampled_from(["", "^"]), st.lists(MEMBERS, min_size=1).map("".join)
    ),
)
FLAGS = st.sampled_from(["i", "a", "ai", "iu", "u", "s", "x", "-i", "a-i", "u-i", "i-s", "is"])


@given(ITEMS, st.lists(FLAGS, max_size=3), st.sampled_from(["", "(?i)", "(?ai)", "(?s)", "(?aix)"]))
@settings(max_examples=200)
def test_a_character_is_matched_as_python_does(item, scopes, flags):
    for scope in scopes:
        item = f"(?{scope}:{item})"
    expression = flags + item
    automaton = Automaton(expression, tuple(UNUSUAL))
    states = [automaton.move(automaton.start, letter) for letter in UNUSUAL]
    assert automaton.accepting[states].tolist() == [
        re.fullmatch(expression, letter) is not None for letter in UNUSUAL
    ]


@pytest.mark.parametrize(
    ("expression", "matched", "refused"),
    [
        ("(?i)s", "sS\u017f", "ßz"),
        ("(?i)[^s]", "zß", "sS\u017f"),
        ("(?i)[^i]", "z\u017f", "iI\u0131\u0130"),
        ("(?i)[^\u00b5]", "z", "\u00b5\u03bc\u039c"),
        ("(?i)[^A-Z]", "ßé", "az\u017f\u212a\u0131\u0130"),
        ("(?ai)s", "sS", "\u017f"),
        ("(?ai)[^k]", "\u212aß", "kK"),
        ("(?ai)é", "é", "É"),
        ("(?i)(?-i:k)", "k", "K\u212a"),
        ("(?i)(?a:k)", "kK", "\u212a"),
        ("(?ai)(?u:k)", "kK\u212a", "z"),
        (r"(?a)(?u:\w)", "é\u0663", "-"),
        (r"[\w-]", "é-_", " ."),
        (r"[^\W\d_]", "é\u017f", "_3\u0663-"),
        (r"[\s\S]", "a\n\u00a0", ""),
        ("(?s:.)", "a\n", ""),
        (".", "a\r\u2028", "\n"),
    ],
)
def test_characters_of_an_item(expression, matched, refused):
    automaton = Automaton(expression, ())
    for letter in matched + refused:
        accepted = bool(automaton.accepting[automaton.move(automaton.start, letter)])
        assert accepted == (letter in matched) == (re.fullmatch(expression, letter) is not None)


@pytest.mark.parametrize(
    "expression", ["a$\\n*", "a($|b)\\s", "^$^\\n", "a\\Z\\n?", "(a$\\n?)+", "$$\\n$"]
)
@pytest.mark.parametrize("text", ["", "a", "\n", "a\n", "a\n\n", "ab\n", "ab "])
def test_a_dollar_matches_before_the_last_newline(expression, text):
    automaton = Automaton(expression, ALPHABET)
    matches = re.fullmatch(expression, text) is not None
    assert bool(automaton.accepting[walked(automaton, text)]) == matches


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
def test_many_moves_equal_single_ones(expression, texts):
    automaton = Automaton(expression, ALPHABET)
    for text in texts:
        state = walked(automaton, text)
        columns = np.arange(len(ALPHABET) + 1, dtype=np.int32)
        after = automaton.moves(np.full(len(columns), state, np.int32), columns)
        assert after.tolist() == [automaton.move(state, each) for each in ALPHABET] + [DEAD]


def test_many_states_are_cached():
    automaton = Automaton("(a|b)*a(a|b){8}", ("a", "b"))
    rng = np.random.default_rng(1)
    for text in ("".join(rng.choice(["a", "b"], 40)) for _ in range(50)):
        state = walked(automaton, text)
        assert bool(automaton.accepting[state]) == (text[-9] == "a")
        assert walked(automaton, text) == state


def test_characters_outside_the_alphabet_are_read_but_not_written():
    automaton = Automaton("é?a|éb", ("a",))
    state = automaton.move(automaton.start, "é")
    assert automaton.distances[automaton.start] == 1
    assert automaton.distances[state] == 1
    assert automaton.accepting[automaton.move(state, "b")]
    assert Automaton("é", ("a",)).distances[1] == NEVER


@pytest.mark.parametrize(
    "expression", ["(?=a)b", r"(a)\1", r"\b", "(?m)^a", "a++", "(?>a)", "(?<!a)b", "["]
)
def test_what_has_no_automaton_is_refused(expression):
    with pytest.raises(UsageError, match=re.escape(f"'{expression}'")):
        Automaton(expression, ALPHABET)


# The opcodes of the private parser of ``re`` since Python 3.11.
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
