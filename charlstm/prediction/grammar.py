"""The interface of a word grammar: what the next token does to the word that is being written.

A word, a number or a run of one punctuation mark is a token of word level (see
``charlstm.tokenizer.segmentation``) without the space before it, whatever the model's level. White
space between words is skipped. Each level has its grammar (``piece_grammar``,
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
from charlstm.prediction.clusters import clusters_of
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
        unread: what must follow first, if ``typed`` has not been read: the space, if any, and it.
        cluster: whether ``typed`` is no word but a visible character that was read, which only
            parts of it can continue, such as a vowel sign.
    """

    logits: Floats
    state: Floats
    typed: str = ""
    unread: str = ""
    cluster: bool = False


class Grammar(ABC):
    """How the tokens of one tokenizer make up words.

    Args:
        tokenizer: the tokenizer.
        ends: whether the model has learned to end documents.
        clusters: whether no word begins or ends within a visible character. In scripts without
            spaces, a visible character is then a word; otherwise a code point is.
    """

    def __init__(self, tokenizer: Tokenizer, *, ends: bool = True, clusters: bool = True) -> None:
        never = tokenizer.never_generated.astype(np.int64)
        self._never: Ids = never if ends else np.append(never, END_OF_DOCUMENT)
        self._pieces = tokenizer.pieces
        self._clusters = clusters_of(self._pieces) if clusters else None
        self._tokenizer = tokenizer

    @abstractmethod
    def split(self, prompt: str) -> tuple[Ids, str, str, bool]:
        """Return the ids to read, END_OF_DOCUMENT first, and the fields of ``Context``."""

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

    def _last_cluster(self, prompt: str) -> str:
        """Return the visible character that a prompt ends with, if any could be continued."""
        return self._clusters.last(prompt) if self._clusters else ""

    def _is_whole(self, search: BestFirstSearch, completes: bool, text: str, append: str) -> bool:
        """Whether a candidate neither begins nor ends within a visible character."""
        if self._clusters is None:
            return True
        begins = completes or not self._clusters.continues(search.before, append[:1])
        return begins and self._clusters.is_whole(text)

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
