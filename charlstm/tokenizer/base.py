"""The contract of a tokenizer: text to ids and back, without loss; the ids of the special tokens.

An id is that of a special token or of a piece of text: a character, or at word level also a longer
token. This module knows no files and no model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import msgspec
import numpy as np

from charlstm.config import Level
from charlstm.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


END_OF_DOCUMENT = 0
UNKNOWN = 1
BEGIN_SPELLING = 2
END_SPELLING = 3

REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Tokenizer(ABC):
    """A vocabulary and how text is divided into it.

    Attributes:
        vocabulary: the text of each id after the reserved ones, in the order of the ids.
    """

    vocabulary: tuple[str, ...]

    level: ClassVar[Level]
    reserved: ClassVar[tuple[str, ...]]

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the reserved ones included."""
        return len(self.reserved) + len(self.vocabulary)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of each id: of the unknown symbol U+FFFD, of the other reserved ones none."""
        return self.reserved + self.vocabulary

    @property
    def spells(self) -> bool:
        """Whether words can be spelled between ``BEGIN_SPELLING`` and ``END_SPELLING``."""
        return len(self.reserved) > BEGIN_SPELLING

    @property
    def never_generated(self) -> NDArray[np.uint32]:
        """The ids that may be read but never written: the unknown symbol, as ``[1]``."""
        return np.array([UNKNOWN], np.uint32)

    @cached_property
    def character_ids(self) -> NDArray[np.uint32]:
        """The ids of all symbols of one character, ascending."""
        ids = [index for symbol, index in self._ids.items() if len(symbol) == 1]
        return np.array(ids, np.uint32)

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a text, shape ``[tokens]``; unknown characters become ``UNKNOWN``.

        ``decode(encode(text)) == text`` for every text whose characters are all known.
        """

    def encode_beginning(self, text: str) -> NDArray[np.int64]:
        """Return the ids of the beginning of a document: the end of the one before it first."""
        return np.concatenate([[END_OF_DOCUMENT], self.encode(text)]).astype(np.int64)

    def decode(self, ids: Iterable[int] | NDArray[np.integer]) -> str:
        """Return the text of the ids, which is their pieces in a row."""
        listed = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return "".join(map(self.pieces.__getitem__, listed))

    def unknown_characters(self, text: str) -> Counter[str]:
        """Count the characters of a text that ``encode`` makes ``UNKNOWN``."""
        codes = code_points(text)
        unknown, counts = np.unique(codes[self._lookup(codes) == UNKNOWN], return_counts=True)
        return Counter(dict(zip(map(chr, unknown.tolist()), counts.tolist(), strict=True)))

    def extend(self, other: Tokenizer) -> Tokenizer:
        """Return a tokenizer that knows the other's symbols too and keeps the ids of this one.

        Raises:
            ConfigError: if the levels differ.
        """
        if other.level != self.level:
            raise ConfigError(
                f"a {self.level} level vocabulary can't take up one of {other.level} level: "
                f"choose --level {self.level}"
            )
        known = self._ids
        return type(self)(self.vocabulary + tuple(s for s in other.vocabulary if s not in known))

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Return the text to encode, and what the continuation must start with."""
        return prompt, ""

    def to_json(self) -> bytes:
        """Return the vocabulary as JSON, for ``tokenizer_from_json``."""
        return msgspec.json.encode({"level": self.level, "symbols": self.vocabulary})

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.vocabulary, len(self.reserved))}

    @cached_property
    def _table(self) -> NDArray[np.uint32]:
        """Map code points to ids; one place more than needed, for all that lie beyond."""
        codes = [ord(symbol) for symbol in self.vocabulary if len(symbol) == 1]
        table = np.full(max(codes, default=0) + 2, UNKNOWN, np.uint32)
        table[codes] = self.character_ids
        return table

    def _lookup(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self._table.take(codes, mode="clip")


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, lone surrogates included, shape ``[characters]``."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
