"""The interface of a word grammar: what the next token does to the current word.

A word, a number or a run of one punctuation mark is a word-level token (see
``charlstm.tokenizer.segmentation``) without the space before it, whatever the level of the model.
White space between words is skipped. ``piece_grammar`` and ``word_grammar`` are the grammars. A
grammar takes probabilities, and adds to a search the paths that can be extended and the candidates.
As in ``generate``, tokens that are never written have probability 0, and the probabilities of the
others sum to 1.

A grammar does not depend on the engine: its caller reads the tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from charlstm.arrays import Doubles, Floats, Ids
from charlstm.engine.state import State
from charlstm.metrics import softmax
from charlstm.prediction.best_first_search import BestFirstSearch, Node
from charlstm.prediction.clusters import clusters_of
from charlstm.tokenizer.base import END_OF_DOCUMENT, Tokenizer

# Like ``Engine.step``: reads ids [R], one for each row of the state.
Step: TypeAlias = Callable[[Ids, State], tuple[Floats, State]]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """A prompt of which all complete tokens have been read.

    Attributes:
        logits: the logits after the tokens that were read, float32 [V].
        state: the state after them, one row.
        typed: the half-typed word or number at the end, or empty. At character level, it has been
            read.
        unread: text that must follow first, if ``typed`` has not been read: the space before
            ``typed``, if any, and ``typed``.
        cluster: whether ``typed`` is not a word but a visible character that has been read. Only
            parts of a character can continue it, such as a vowel sign.
    """

    logits: Floats
    state: State
    typed: str = ""
    unread: str = ""
    cluster: bool = False


class Grammar(ABC):
    """How the tokens of a tokenizer make up words.

    Args:
        tokenizer: the tokenizer.
        ends: whether the model has learned to end documents.
        clusters: whether words must not begin or end within a visible character. In scripts without
            spaces, a word is then a visible character; otherwise it is a code point.
    """

    def __init__(self, tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> None:
        never = tokenizer.never_generated.astype(np.int64)
        self._never: Ids = never if ends else np.append(never, END_OF_DOCUMENT)
        self._pieces = tokenizer.pieces
        self._clusters = clusters_of(self._pieces) if clusters else None
        self._tokenizer = tokenizer

    @abstractmethod
    def split(self, prompt: str) -> tuple[Ids, str, str, bool]:
        """Return the ids to read, END_OF_DOCUMENT first, and the other fields of ``Context``."""

    @abstractmethod
    def begin(self, items: Sequence[tuple[BestFirstSearch, Context]], step: Step) -> None:
        """Add to each search the paths that start in its context. ``step`` reads tokens."""

    @abstractmethod
    def expand(
        self, items: Sequence[tuple[BestFirstSearch, Node]], logits: Floats, states: State
    ) -> None:
        """Extend paths whose last token has been read.

        Args:
            items: R paths, each with its search.
            logits: the logits after each path, float32 [R, V].
            states: the state after each path, R rows.
        """

    @abstractmethod
    def shares(self, context: Context, step: Step) -> tuple[float, float]:
        """Return the probabilities that the typed word continues, and that it is complete.

        Texts that are too unlikely to matter are in neither, so the sum may be less than 1.
        """

    def _last_cluster(self, prompt: str) -> str:
        """Return the visible character at the end of a prompt, if such a one can be continued."""
        return self._clusters.last(prompt) if self._clusters else ""

    def _is_whole(self, search: BestFirstSearch, completes: bool, text: str, append: str) -> bool:
        """Return whether a candidate neither begins nor ends within a visible character."""
        if self._clusters is None:
            return True
        begins = completes or not self._clusters.continues(search.before, append[:1])
        return begins and self._clusters.is_whole(text)

    def after(self, written: str, logits: Floats, state: State) -> Context:
        """Return the context after a candidate, for a search with ``Target.NEXT``."""
        return Context(logits, state, written)


def probabilities(logits: Floats, columns: Ids) -> Doubles:
    """Return the probabilities of some ids, normalized over these ids.

    Args:
        logits: float32 [R, V].
        columns: C ids.

    Returns:
        Probabilities float64 [R, C]. Each row sums to 1.
    """
    # ``take`` makes rows contiguous, so that the sum of a row is the same for any R.
    return softmax(np.take(logits, columns, axis=1))
