"""The logits and states after prompts, with a cache of recent prompts."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from charlstm.arrays import Floats, Ids
from charlstm.engine.inference import Engine
from charlstm.engine.state import State
from charlstm.tokenizer.long_prompts import read_tokens

REMEMBERED = 48  # positions in recent prompts whose states are cached
PROMPT_STEP = 1024  # the number of tokens that a long prompt leaves out is a multiple of this
_STRIDE = 32  # tokens between cached positions


class PromptCache:
    """Reads prompts, each from the end of its longest cached beginning.

    Only the last tokens of a long prompt are read (see ``read_tokens``).
    """

    def __init__(self, engine: Engine, *, spells: bool) -> None:
        self._engine = engine
        self._spells = spells
        self._ends: OrderedDict[bytes, tuple[Floats, State]] = OrderedDict()

    def read(self, ids: Ids) -> tuple[Floats, State]:
        """Return the logits [V] and the state (one row) after ids [T >= 1]."""
        ids = read_tokens(ids, spells=self._spells, step=PROMPT_STEP)
        data = ids.tobytes()
        known = max((key for key in self._ends if data.startswith(key)), key=len, default=b"")
        state = self._engine.initial_state(1)
        if known:
            self._ends.move_to_end(known)
            logits, state = self._ends[known]
        for start in range(len(known) // ids.itemsize, len(ids), _STRIDE):
            part = ids[np.newaxis, start : start + _STRIDE]
            all_logits, state = self._engine.run(part, state)
            logits = all_logits[0, -1].copy()
            stop = start + part.shape[1]
            if len(ids) - stop < REMEMBERED // 4 * _STRIDE:
                self._remember(ids[:stop].tobytes(), (logits, state))
        return logits, state

    def _remember(self, key: bytes, end: tuple[Floats, State]) -> None:
        self._ends[key] = end
        if len(self._ends) > REMEMBERED:
            self._ends.popitem(last=False)
