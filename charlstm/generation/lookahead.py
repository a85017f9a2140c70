"""The probability that the beginning of a match becomes a match, under a Markov chain of tokens.

This probability is the value of a state of the pattern, in a context of the chain and with a number
of remaining tokens. It is computed backward from the matches, one token at a time (Baum et al.
1970). If a large pattern has too many states, the values of its nodes are computed instead, and the
value of a state is that of its best node.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from charlstm.arrays import Doubles, Floats, Ids, Mask
from charlstm.generation.pattern import Pattern
from charlstm.generation.token_chain import TokenChain
from charlstm.generation.word_edges import WordEdges
from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING

# The weight of a token within a word that the pattern forbids: a match ends there only if it must.
WITHIN_WORD = 1e-3
_MOST_STATES = 4096
_MOST_TABLE = 2**21  # next states of all states
_MOST_NODES_TABLE = 2**24  # next states of all nodes; there are no values for a larger pattern
_MOST_PRODUCTS = 2**34  # multiplications
_CLOSE = 1e-3  # the relative change below which more tokens make no difference
_LEAST = 1e-300
_CACHED_NUMBERS = 2**23


class Lookahead:
    """The values of the states of a pattern.

    Args:
        pattern: the pattern.
        chain: the chain of the model.
        words: the edges of the tokens of the tokenizer.
        length: the maximum number of remaining tokens.
    """

    def __init__(self, pattern: Pattern, chain: TokenChain, words: WordEdges, length: int) -> None:
        self._pattern = pattern
        self._chain = chain
        self._words = words
        self._length = length
        # For contexts outside spelled words: whether the last token ends within a word.
        self._in_word = np.zeros(chain.spelling, np.bool_)
        self._in_word[chain.after[words.ends]] = chain.spelling > 1
        self._ends: dict[int, Doubles] = {}
        self._cache: dict[tuple[int, bool, int], Floats] = {}
        self._fits = True  # whether values are those of states, not of nodes
        # The values of each state or node [N, K], for each number of tokens in ``_horizons``.
        self._horizons: list[int] = []
        self._values: list[Doubles] = []
        self._rows: dict[int, int] = {}

    def logs(self, state: int, left: int, *, spelling: bool) -> Floats:
        """Return the logarithm of the value after each token, float32 [V].

        Args:
            state: the state before the token.
            left: the number of tokens that remain after it.
            spelling: whether the text is within a spelled word.
        """
        if self._fits and state not in self._rows:
            self._include(state)
        place = bisect_right(self._horizons, left) - 1
        key = state, spelling, place
        logs = self._cache.get(key)
        if logs is None:
            if (len(self._cache) + 1) * len(self._chain.after) > _CACHED_NUMBERS:
                self._cache.clear()
            logs = self._cache[key] = self._logs(state, place, spelling)
        return logs

    def _include(self, state: int) -> None:
        """Compute the values of a state and of all states that can be reached from it."""
        self._cache.clear()
        found = self._reachable([*self._rows, state])
        self._fits = found is not None
        if found is None:
            found = self._nodes()
        self._rows = {one: row for row, one in enumerate(found)}
        self._horizons, self._values = [], []
        if found:
            self._look_back(np.stack([self._pattern.after(one) for one in found]))

    def _reachable(self, begin: Iterable[int]) -> list[int] | None:
        """Return the reachable states that lead to a match; ``None`` if there are too many."""
        found = dict.fromkeys(begin)
        most = min(_MOST_STATES, _MOST_TABLE // len(self._chain.after))
        waiting = [*found]
        while waiting:
            after = np.unique(self._pattern.after(waiting.pop()))
            for state in after[self._pattern.are_alive(after)].tolist():
                if state not in found:
                    found[state] = None
                    waiting.append(state)
            if len(found) > most:
                return None
        return [*found]

    def _nodes(self) -> list[int]:
        """Return the states of a single node; none if there are too many of them too."""
        if self._pattern.size * len(self._chain.after) > _MOST_NODES_TABLE:
            return []
        return [*self._pattern.all_parts()]

    def _parts(self, state: int) -> list[int]:
        """Return the rows whose maximum is the value of a state."""
        parts = (state,) if self._fits else self._pattern.parts(state)
        return [self._rows[part] for part in parts if part in self._rows]

    def _logs(self, state: int, place: int, spelling: bool) -> Floats:
        chain = self._chain
        if place < 0:
            return np.zeros(len(chain.after), np.float32)
        states, which = np.unique(self._pattern.after(state), return_inverse=True)
        sums = np.zeros((len(states), len(chain.probabilities)))
        for row, reached in enumerate(states.tolist()):
            if parts := self._parts(reached):
                sums[row] = self._values[place][parts].max(axis=0)
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
            forbidden: the tokens that can't follow, bool [V].
        """
        chain, begins = self._chain, self._words.begins
        forbidden[[BEGIN_SPELLING, END_SPELLING] if self._words.spells else []] = False
        forbidden[END_OF_DOCUMENT] = True
        plain = chain.probabilities[: chain.spelling]
        masses = plain[:, forbidden].sum(axis=1)
        within = np.where(self._in_word, plain[:, forbidden & begins].sum(axis=1), 0)
        ends = np.zeros(len(chain.probabilities))
        ends[: chain.spelling] = masses - (1 - WITHIN_WORD) * within
        if not self._fits and self._words.spells:
            # Within a spelled word, a match can end only after the word.
            ends[chain.spelling :] = chain.probabilities[chain.spelling :, END_SPELLING] * ends[0]
        return ends

    def _look_back(self, table: NDArray[np.int32]) -> None:
        """Fill ``_values``, starting with no remaining token.

        Args:
            table: the states after each token, int32 [N, V].
        """
        chain = self._chain
        states, where = np.unique(table, return_inverse=True)
        where = where.reshape(table.shape)
        best = _Best([self._parts(state) for state in states.tolist()])
        accepting = np.array([self._pattern.matches(state) for state in states.tolist()], np.bool_)
        if self._fits:
            matching = states[accepting].tolist()
            ends = np.array([self._ends_at(state) for state in matching]).reshape(
                len(matching), len(chain.probabilities)
            )
        else:  # a token is forbidden only if all nodes forbid it
            ends = self._end_masses(np.logical_not(self._pattern.are_alive(table).any(axis=0)))
        kinds = [_Moves(chain, where, spelled=False)]
        if self._words.spells:
            kinds.append(_Moves(chain, where, spelled=True))
        values = np.zeros((len(table), len(chain.probabilities)))
        products = sum(moves.products for moves in kinds)
        for left in range(min(self._length, _MOST_PRODUCTS // products) + 1):
            if left <= 16 or left >= 1.1 * self._horizons[-1]:
                self._horizons.append(left)
                self._values.append(values)
            whole = best.of(values)
            whole[accepting] += ends if left else 1.0
            whole = whole.clip(max=1.0)
            before, values = values, np.hstack([moves.values(whole) for moves in kinds])
            if left > self._pattern.horizon and (np.abs(values - before) <= _CLOSE * values).all():
                break


class _Best:
    """Takes the maximum of the values in the rows of each state."""

    def __init__(self, rows: list[list[int]]) -> None:
        self._count = len(rows)
        self._some = np.array([bool(each) for each in rows])
        self._rows = np.array([row for each in rows for row in each], np.int64)
        sizes = [len(each) for each in rows if each]
        self._starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)

    def of(self, values: Doubles) -> Doubles:
        best = np.zeros((self._count, values.shape[1]))
        if len(self._rows):
            best[self._some] = np.maximum.reduceat(values[self._rows], self._starts, axis=0)
        return best


class _Moves:
    """One token backward, outside or inside spelled words. Tokens with equal effects are merged."""

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
