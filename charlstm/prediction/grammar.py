"""The contract of a word grammar: what the next symbol does to the word that is being written.

A word, number or run of one punctuation mark is a token of word level (``charlstm.tokenizer.base``)
without the space before it, at both levels. White space between them is skipped. Each level has
its grammar (``characters``, ``words``), which takes probabilities and tells a search which paths
continue and which have ended in a candidate. As in ``generate``, symbols that are never written
have no probability, and those of the others sum to 1.

A grammar knows the ids of a tokenizer and no engine. What has to be read, the caller reads.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.metrics import softmax
from charlstm.prediction.search import BestFirstSearch, Node
from charlstm.tokenizer.base import Tokenizer

Step: TypeAlias = Callable[[Ids, Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Where a prediction begins.

    Attributes:
        logits: after what has been read, float32 [V].
        state: there, float32 [2 * layers, units].
        typed: the word or number being typed, as far as it is; may be empty. At character level it
            has been read.
        unread: at word level, what the next token begins with: ``typed``, the space before it.
    """

    logits: Floats
    state: Floats
    typed: str = ""
    unread: str = ""


class Grammar(ABC):
    """How the symbols of one tokenizer make up words."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._pieces = tokenizer.pieces
        self._tokenizer = tokenizer

    @abstractmethod
    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the ids to read, the end of a document first, and a context's two texts."""

    @abstractmethod
    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Begin searches; ``step`` is the engine's."""

    @abstractmethod
    def unfold(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: Floats
    ) -> None:
        """Go on with paths whose symbol has been read.

        Args:
            items: R paths, each with the search it belongs to.
            logits: after each, float32 [R, V].
            states: there, float32 [2 * layers, R, units].
        """

    def after(self, written: str, logits: Floats, state: Floats) -> Context:
        """Return the context after a candidate, for a search for what is ``Target.NEXT``."""
        return Context(logits, state, written)


def probabilities(logits: Floats, columns: Ids) -> Doubles:
    """Return the probabilities of some symbols among themselves.

    Args:
        logits: float32 [R, V].
        columns: C ids.

    Returns:
        float64 [R, C], each row summing to 1.
    """
    # ``take`` leaves rows contiguous, so that a row has the same sum at any R.
    return softmax(np.take(logits, columns, axis=1))
