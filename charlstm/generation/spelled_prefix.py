"""Forced prefixes to how likely the model is to spell them.

At word level, the last word of a prompt is not read: the text must continue with it, as the
beginning of a token or spelled. A draw knows the probability of each token, but not of the letters
that follow ``BEGIN_SPELLING``; without it, a spelled word would come as often as if any would do.
This module knows the engine and the tokenizer. It does not know how tokens are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charlstm.arrays import Floats
from charlstm.engine.inference import Engine
from charlstm.metrics import log_normalizers
from charlstm.tokenizer.base import BEGIN_SPELLING, Tokenizer


def spelled_prefixes(
    engine: Engine,
    tokenizer: Tokenizer,
    prefixes: Sequence[str],
    states: Floats,
    excluded: Sequence[int],
) -> list[float]:
    """Return the log-probability of each prefix after ``BEGIN_SPELLING``; 0 for an empty one.

    Args:
        engine: a trained model.
        tokenizer: the tokenizer it was trained with.
        prefixes: R texts of known characters.
        states: before ``BEGIN_SPELLING``, float32 [2 * layers, R, units].
        excluded: ids that are never drawn.
    """
    found = [0.0] * len(prefixes)
    rows = np.array([row for row, prefix in enumerate(prefixes) if prefix], np.int64)
    if not tokenizer.spells or not len(rows):
        return found
    letters = {
        row: [int(tokenizer.encode(letter)[0]) for letter in prefixes[row]] for row in rows.tolist()
    }
    ids, states = np.full(len(rows), BEGIN_SPELLING), states[:, rows]
    position = 0
    while len(rows):
        logits, states = engine.step(ids, states)
        logits[:, excluded] = -np.inf
        ids = np.array([letters[row][position] for row in rows.tolist()])
        added = logits[np.arange(len(rows)), ids] - log_normalizers(logits)
        for row, value in zip(rows.tolist(), added.tolist(), strict=True):
            found[row] += value
        position += 1
        going = np.array([len(letters[row]) > position for row in rows.tolist()])
        rows, ids, states = rows[going], ids[going], states[:, going]
    return found
