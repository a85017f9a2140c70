"""Tests of ``generation.spelling``: what its phases allow is what is well spelled."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from charlstm.generation.spelling import BETWEEN, SpellingRules, phase_after
from tests.models import WORDS
from tests.oracles import is_well_spelled

# Special tokens come often.
TOKENS = st.one_of(st.integers(0, 6), st.integers(0, WORDS.vocab_size - 1))


@given(st.lists(st.lists(TOKENS, min_size=6, max_size=6), min_size=1, max_size=4))
def test_what_may_follow_is_what_is_well_spelled(rows):
    spelling, phases = SpellingRules(WORDS), np.full(len(rows), BETWEEN)
    for position in range(6):
        logits = np.zeros((len(rows), WORDS.vocab_size), np.float32)
        spelling.exclude(logits, phases)
        for row, phase in zip(rows, phases.tolist(), strict=True):
            before, found = row[:position], logits[rows.index(row)] > -np.inf
            assert found.tolist() == [
                is_well_spelled(WORDS, [*before, token_id]) for token_id in range(WORDS.vocab_size)
            ]
            assert found.tolist() == spelling.allowed[phase].tolist()
            possible = np.flatnonzero(found)
            if not found[row[position]]:
                row[position] = int(possible[row[position] % len(possible)])
        column = np.array([row[position] for row in rows])
        after = spelling.after(phases, column)
        pairs = zip(phases.tolist(), column.tolist(), strict=True)
        assert after.tolist() == [phase_after(*pair) for pair in pairs]
        phases = after
