"""The ways in which tokens can write the end of a prompt that was not read.

At word and subword level, the last word of a prompt is not read, because it may continue. The text
must begin with it: at word level as the beginning of a token or spelled, at subword level as any
sequence of pieces. Sampling knows the probability of the next token, but not that of the rest of
the word. Without the latter, an unlikely way would be as frequent as a likely one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from charlstm.arrays import Doubles, Floats
from charlstm.engine.inference import Engine
from charlstm.engine.state import State
from charlstm.metrics import log_normalizers, softmax
from charlstm.tokenizer.base import BEGIN_SPELLING, Tokenizer

if TYPE_CHECKING:
    from charlstm.generation.coverings import CoveringSearch, PieceIndex


@dataclass(frozen=True, eq=False)
class Ways:
    """The ways to write the rest of an unread text.

    Attributes:
        value: the log-probability that the rest of the text follows.
        after: the tokens that can follow but do not write all of the rest, and the ways after them.
    """

    value: float = 0.0
    after: Mapping[int, Ways] = field(default_factory=dict)


def unread_ways(
    engine: Engine,
    tokenizer: Tokenizer,
    unread: Sequence[str],
    logits: Floats,
    states: State,
    excluded: Sequence[int],
) -> list[Ways | None]:
    """Return the ways to write each text; ``None`` for an empty one.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer that the model was trained with.
        unread: R texts of known characters.
        logits: the logits before them, float32 [R, V].
        states: the states before them, R rows.
        excluded: ids that are never sampled.
    """
    if not any(unread):  # always true at character level, which needs no index
        return [None] * len(unread)
    if tokenizer.spells:
        return _spelled(engine, tokenizer, unread, states, excluded)
    from charlstm.generation.coverings import CoveringSearch

    index = _index_of(tokenizer)

    def probabilities(logits: Floats) -> Doubles:
        return softmax(logits, np.array(excluded, np.int64))

    search = CoveringSearch(index, tokenizer.pieces, probabilities)
    return [
        _covered(search, engine, text, logits[row], states.row(row)) if text else None
        for row, text in enumerate(unread)
    ]


@lru_cache(maxsize=1)
def _index_of(tokenizer: Tokenizer) -> PieceIndex:
    from charlstm.generation.coverings import PieceIndex

    return PieceIndex(tokenizer.pieces)


def _covered(
    search: CoveringSearch, engine: Engine, text: str, logits: Floats, state: State
) -> Ways:
    """Return the ways to write a text with pieces."""
    coverings = search.run(text, logits, state, engine.step)
    totals = {covering.before: search.log_total(covering) for covering in coverings}
    ways: dict[tuple[int, ...], dict[int, Ways]] = {before: {} for before in totals}
    for covering in reversed(coverings):  # a longer covering adds to the one that it continues
        before = covering.before
        if before and totals[before] > -math.inf:
            value = totals[before] - covering.log_probability
            ways[before[:-1]][before[-1]] = Ways(value, ways[before])
            totals[before[:-1]] = float(np.logaddexp(totals[before[:-1]], totals[before]))
    return Ways(0.0, ways[()])


def _spelled(
    engine: Engine,
    tokenizer: Tokenizer,
    unread: Sequence[str],
    states: State,
    excluded: Sequence[int],
) -> list[Ways | None]:
    """Return the ways to write each text as the beginning of a spelled word."""
    rows = np.array([row for row, text in enumerate(unread) if text], np.int64)
    letters: dict[int, list[int]] = {
        row: [int(tokenizer.encode(letter)[0]) for letter in unread[row]] for row in rows.tolist()
    }
    values: dict[int, list[float]] = {row: [] for row in letters}
    ids, states = np.full(len(rows), BEGIN_SPELLING), states[rows]
    while len(rows):
        logits, states = engine.step(ids, states)
        logits[:, excluded] = -np.inf
        ids = np.array([letters[row][len(values[row])] for row in rows.tolist()])
        found = logits[np.arange(len(rows)), ids] - log_normalizers(logits)
        for row, value in zip(rows.tolist(), found.tolist(), strict=True):
            values[row].append(value)
        going = np.array([len(letters[row]) > len(values[row]) for row in rows.tolist()])
        rows, ids, states = rows[going], ids[going], states[going]
    return [
        _chained([BEGIN_SPELLING, *letters[row]], values[row]) if row in letters else None
        for row in range(len(unread))
    ]


def _chained(ids: Sequence[int], values: Sequence[float]) -> Ways:
    """Return the only way through some ids, the first of which writes nothing.

    Args:
        ids: N + 1 ids.
        values: the log-probabilities of all but the first.
    """
    ways, value = Ways(values[-1]), values[-1]
    for token_id, own in zip(reversed(ids[1:-1]), reversed(values[:-1]), strict=True):
        value += own
        ways = Ways(value, {token_id: ways})
    return Ways(0.0, {ids[0]: ways})
