"""The interface of a word grammar: what the next token does to the word that is being written.

A word, a number or a run of one punctuation mark is a token of word level (see
``charlstm.tokenizer.segmentation``) without the space before it, whatever the model's level. White
space between words is skipped. Each level has its grammar (``character_grammar``,
``word_grammar``), which takes probabilities and reports to a search which paths can be extended and
which end in a candidate. As in ``generate``, tokens that are never written have probability 0, and
those of the others sum to 1.

A grammar knows the ids of a tokenizer. It does not know the engine: the caller reads tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.metrics import softmax
from charlstm.prediction.best_first_search import BestFirstSearch, Node
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer

# As ``Engine.step``: reads ids [R] in states [2 * layers, R, units]; returns logits and new states.
Step: TypeAlias = Callable[[Ids, Floats], tuple[Floats, Floats]]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A prompt that has been read, as far as its tokens are complete.

    Attributes:
        logits: after the tokens that were read, float32 [V].
        state: after them, float32 [2 * layers, units].
        typed: the beginning of the word or number being typed; may be empty. At character level it
            has been read.
        unread: at word level, what the next token must begin with: the space, if any, and
            ``typed``.
    """

    logits: Floats
    state: Floats
    typed: str = ""
    unread: str = ""


class Grammar(ABC):
    """How the tokens of one tokenizer make up words.

    Args:
        tokenizer: the tokenizer.
        ends: whether the model has learned to end documents.
    """

    def __init__(self, tokenizer: Tokenizer, ends: bool = True) -> None:
        never = tokenizer.never_generated.astype(np.int64)
        self._never: Ids = never if ends else np.append(never, END_OF_DOCUMENT)
        self._pieces = tokenizer.pieces
        self._tokenizer = tokenizer

    @abstractmethod
    def split(self, prompt: str) -> tuple[Ids, str, str]:
        """Return the ids to read, END_OF_DOCUMENT first, and ``typed`` and ``unread``."""

    @abstractmethod
    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Give each search the paths that start in its context; ``step`` reads tokens."""

    @abstractmethod
    def expand(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: Floats
    ) -> None:
        """Extend paths whose last token has been read.

        Args:
            items: R paths, each with the search it belongs to.
            logits: after each path, float32 [R, V].
            states: after each path, float32 [2 * layers, R, units].
        """

    @abstractmethod
    def shares(self, context: Context, step: Step) -> tuple[float, float]:
        """Return how likely it is that the word typed goes on, and that it is complete.

        What is too unlikely to matter is in neither, so that the sum may be less than 1.
        """

    def after(self, written: str, logits: Floats, state: Floats) -> Context:
        """Return the context after a candidate, for a search with ``Target.NEXT``."""
        return Context(logits, state, written)


def probabilities(logits: Floats, columns: Ids) -> Doubles:
    """Return the probabilities of some ids, normalized over these ids.

    Args:
        logits: float32 [R, V].
        columns: C ids.

    Returns:
        float64 [R, C]; each row sums to 1.
    """
    # ``take`` leaves rows contiguous, so that a row has the same sum at any R.
    return softmax(np.take(logits, columns, axis=1))
