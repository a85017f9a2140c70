"""How likely a text that begins a match is to become one, under a chain of a model's tokens.

The value of a state of the pattern in a context of the chain, with so many tokens left, is found by
going backward from the matches, one token at a time (Baum et al. 1970). The nodes of the automaton
are taken one by one and their values added, which is exact where a text matches in one way only;
else it is too high. This module does not know a model or how tokens are drawn.
"""

from __future__ import annotations

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.generation.pattern import Pattern
from charlstm.generation.token_chain import TokenChain
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING

# The weight of a token that the pattern forbids within a word: a match ends there only if it must.
WITHIN_WORD = 1e-3
_MOST_TABLE = 2**24  # next states of all nodes; a pattern with more is not looked through
_MOST_PRODUCTS = 2**34  # multiplications
_CLOSE = 1e-3  # the change at which more tokens make no difference
_LEAST = 1e-300
_CACHED_NUMBERS = 2**23


class Lookahead:
    """The values of a pattern's states.

    Args:
        pattern: the pattern.
        chain: of the model that writes.
        words: of the tokenizer.
        length: the most tokens that may be left.
    """

    def __init__(self, pattern: Pattern, chain: TokenChain, words: WordEdges, length: int) -> None:
        self._pattern = pattern
        self._chain = chain
        self._words = words
        self._spells = chain.spelling < len(chain.probabilities)
        # Whether the last token of a context outside spelled words ends within a word.
        self._in_word = np.zeros(chain.spelling, np.bool_)
        self._in_word[chain.after[words.ends]] = chain.spelling > 1
        self._ends: dict[int, Doubles] = {}
        self._cache: dict[tuple[int, bool, int], Floats] = {}
        # Of the numbers of tokens left in ``_horizons``, the values of each part, [parts, K].
        self._horizons: list[int] = []
        self._values: list[Doubles] = []
        self._rows: dict[int, int] = {}
        if pattern.size * len(chain.after) > _MOST_TABLE:
            return
        parts = pattern.all_parts()
        self._rows = {part: row for row, part in enumerate(parts)}
        if parts:
            table = np.stack([pattern.after(part) for part in parts])
            self._look_back(table, length)

    def logs(self, state: int, left: int, *, spelling: bool) -> Floats:
        """Return the logarithm of the value after each token, float32 [V].

        Args:
            state: the state before the token.
            left: how many tokens are left after it.
            spelling: whether a word is being spelled.
        """
        place = bisect_right(self._horizons, left) - 1
        key = state, spelling, place
        if key not in self._cache:
            if (len(self._cache) + 1) * len(self._chain.after) > _CACHED_NUMBERS:
                self._cache.clear()
            self._cache[key] = self._logs(state, place, spelling)
        return self._cache[key]

    def _logs(self, state: int, place: int, spelling: bool) -> Floats:
        chain = self._chain
        if place < 0:
            return np.zeros(len(chain.after), np.float32)
        states, which = np.unique(self._pattern.after(state), return_inverse=True)
        sums = np.zeros((len(states), len(chain.probabilities)))
        for row, reached in enumerate(states.tolist()):
            for part in self._pattern.parts(reached):
                if part in self._rows:
                    sums[row] += self._values[place][self._rows[part]]
            if self._pattern.matches(reached):
                sums[row] += self._ends_at(reached) if self._horizons[place] else 1.0
        contexts = chain.after_spelled if spelling else chain.after
        values = sums[which, contexts].clip(_LEAST, 1.0)
        logs: Floats = np.log(values).astype(np.float32)
        return logs

    def _ends_at(self, state: int) -> Doubles:
        """Return the weight of the end of a match in a state, in each context, float64 [K]."""
        ends = self._ends.get(state)
        if ends is None:
            if (len(self._ends) + 1) * len(self._chain.probabilities) > _CACHED_NUMBERS:
                self._ends.clear()
            alive = self._pattern.are_alive(self._pattern.after(state))
            ends = self._ends[state] = self._end_masses(~alive)
        return ends

    def _end_masses(self, forbidden: Mask) -> Doubles:
        """Return the weight of an end in each context, float64 [K].

        Args:
            forbidden: the tokens that may not follow, bool [V].
        """
        chain, begins = self._chain, self._words.begins
        forbidden[[BEGIN_SPELLING, END_SPELLING] if self._spells else []] = False
        forbidden[END_OF_DOCUMENT] = True
        plain = chain.probabilities[: chain.spelling]
        masses = plain[:, forbidden].sum(axis=1)
        within = plain[:, forbidden & begins].sum(axis=1)
        masses -= np.where(self._in_word, within, 0)
        ends = np.zeros(len(chain.probabilities))
        ends[: chain.spelling] = WITHIN_WORD + (1 - WITHIN_WORD) * masses
        return ends

    def _look_back(self, table: NDArray[np.int32], length: int) -> None:
        """Fill ``_values``, beginning with no token left."""
        states, where = np.unique(table, return_inverse=True)
        where = where.reshape(table.shape)
        sums = _Sums(
            [
                [self._rows[p] for p in self._pattern.parts(s) if p in self._rows]
                for s in states.tolist()
            ]
        )
        accepting = self._accepting(states)
        kinds = [_Moves(self._chain, where, spelled=False)]
        if self._spells:
            kinds.append(_Moves(self._chain, where, spelled=True))
        # Of what each part alone forbids, the others may allow some: only what all forbid counts.
        ends = self._end_masses(np.logical_not(self._pattern.are_alive(table).any(axis=0)))
        values = np.zeros((len(table), len(self._chain.probabilities)))
        products = sum(moves.products for moves in kinds)
        least = self._pattern.horizon
        for left in range(min(length, _MOST_PRODUCTS // products) + 1):
            if left <= 16 or left >= 1.1 * self._horizons[-1]:
                self._horizons.append(left)
                self._values.append(values)
            whole = sums.of(values)
            whole[accepting] += ends if left else 1.0
            whole = whole.clip(max=1.0)
            before, values = values, np.hstack([moves.values(whole) for moves in kinds])
            if left > least and (np.abs(values - before) <= _CLOSE * values).all():
                break

    def _accepting(self, states: NDArray[np.int32]) -> Mask:
        return np.array([self._pattern.matches(state) for state in states.tolist()], np.bool_)


class _Sums:
    """Adds the values of the parts of each state."""

    def __init__(self, parts: list[list[int]]) -> None:
        self._count = len(parts)
        self._some = np.array([bool(each) for each in parts])
        self._parts = np.array([part for each in parts for part in each], np.int64)
        sizes = [len(each) for each in parts if each]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)

    def of(self, values: Doubles) -> Doubles:
        sums = np.zeros((self._count, values.shape[1]))
        if len(self._parts):
            sums[self._some] = np.add.reduceat(values[self._parts], self._starts, axis=0)
        return sums


class _Moves:
    """One token backward, outside or inside spelled words. Tokens that lead alike are one."""

    def __init__(self, chain: TokenChain, where: Ids, *, spelled: bool) -> None:
        contexts = slice(chain.spelling, None) if spelled else slice(chain.spelling)
        probabilities = chain.probabilities[contexts].copy()
        probabilities[:, END_OF_DOCUMENT] = 0
        if spelled:
            probabilities[:, BEGIN_SPELLING] = 0
        elif chain.spelling < len(chain.probabilities):
            probabilities[:, END_SPELLING] = 0
        after = chain.after_spelled if spelled else chain.after
        keys, group = np.unique(np.vstack([after, where]), axis=1, return_inverse=True)
        self._after, self._where = keys[0], keys[1:]
        grouped = np.zeros((self._after.shape[0], len(probabilities)))
        np.add.at(grouped, group.ravel(), probabilities.T)
        self._grouped = grouped
        self.products = self._where.size * len(probabilities)

    def values(self, whole: Doubles) -> Doubles:
        """Return the values of each part in each context of the kind, float64 [parts, K]."""
        moved: Doubles = whole[self._where, self._after] @ self._grouped
        return moved
