"""Encodes text word by word, for the levels whose tokens never cross a word boundary.

The ids of runs without white space are cached, so that a word with the punctuation after it takes
one lookup instead of two.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from charlstm.tokenizer.base import Tokenizer
from charlstm.tokenizer.segmentation import partial_word, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


Encoding: TypeAlias = tuple[int, ...]

# The most runs and words that are cached, and their longest length in characters. Longer runs
# rarely occur twice; their words are cached instead.
REMEMBERED, LONGEST_REMEMBERED = 2**18, 48

# Runs without white space, each with the white space before it, up to a newline. The white space
# before a word is divided between a separate token and the token of the word, so no run may end
# inside it.
_RUN = re.compile(r"[^\S\n]*(?:\n|\S+)|[^\S\n]+")


def runs_of(text: str) -> list[str]:
    """Return the runs of a text, whose tokens together are the tokens of the text."""
    return _RUN.findall(text)


class WordwiseTokenizer(Tokenizer):
    """Encodes each word, number, punctuation mark and white space separately."""

    joins_spaces = True

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of the words of a text, uint32 [tokens]."""
        ids = map(self._encodings.__getitem__, runs_of(text))
        return np.frombuffer(bytearray().join(ids), np.uint32)

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Split a prompt before its last word or number, which may be incomplete.

        A space at the end is the prefix of the next token.
        """
        word = partial_word(prompt, self.segmentation)
        return word.before, word.space + word.typed

    def stored(self) -> dict[str, Any]:
        """Return the vocabulary and the rules, as ``to_json`` writes them."""
        rules = {"level": self.level, "segmentation": self.segmentation}
        return rules | {"symbols": self.vocabulary}

    @abstractmethod
    def encode_word(self, word: str) -> Encoding:
        """Return the ids of a token of ``segmentation.tokens_of``."""

    @cached_property
    def _encodings(self) -> _Remembered:
        """The ids of runs as bytes of uint32, which can be joined faster than numbers."""
        words = _Remembered(lambda word: np.array(self.encode_word(word), np.uint32).tobytes())
        segmentation = self.segmentation
        return _Remembered(
            lambda run: b"".join(map(words.__getitem__, tokens_of(run, segmentation)))
        )


class _Remembered(dict[str, bytes]):
    """The ids of texts, computed on first use; those of the first ``REMEMBERED`` are cached."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, text: str) -> bytes:
        ids = self._encode(text)
        if len(text) <= LONGEST_REMEMBERED and len(self) < REMEMBERED:
            self[text] = ids
        return ids
