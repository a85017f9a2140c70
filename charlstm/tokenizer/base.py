"""The interface of a tokenizer: text to token ids and back, without loss.

The first ids belong to special tokens. Each other id belongs to a character, a part of a word or a
word.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import msgspec
import numpy as np

from charlstm.config import SEGMENTATION, Level, Segmentation
from charlstm.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray


# The ids of the special tokens. The last two exist only at word level.
END_OF_DOCUMENT = 0  # before the first document and after each
UNKNOWN = 1  # a character that is not in the vocabulary
BEGIN_SPELLING = 2  # before the characters of a word that is spelled
END_SPELLING = 3  # after them

# Two ids that a subword tokenizer merges.
Pair: TypeAlias = tuple[int, int]

# The maximum length of a token, the sum of the bounds in ``segmentation``: a space, letters,
# sixteen times signs and letters, the end of a cluster.
LONGEST_TOKEN = 1 + 64 + 16 * (16 + 64) + 16 * (16 + 1)

REPLACEMENT = "\ufffd"  # the text of ``UNKNOWN``


@dataclass(frozen=True)
class Tokenizer(ABC):
    """A vocabulary, and how text is encoded with it.

    Attributes:
        vocabulary: the text of each token that is not special, by id.
        segmentation: the rules by which text is divided into words (see ``segmentation``).
        level: ``char``, ``subword`` or ``word``.
        reserved: the text of the special tokens, by id, from 0.
        tokens_are: the word for tokens in a message, in the plural.
        joins_spaces: whether the space before a word belongs to its first token.
    """

    vocabulary: tuple[str, ...]
    segmentation: Segmentation = SEGMENTATION

    level: ClassVar[Level]
    reserved: ClassVar[tuple[str, ...]]
    tokens_are: ClassVar[str]
    joins_spaces: ClassVar[bool] = False

    @property
    def vocab_size(self) -> int:
        """The number of ids, including special tokens."""
        return len(self.reserved) + len(self.vocabulary)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of each id: U+FFFD for ``UNKNOWN``, empty for other special tokens."""
        return self.reserved + self.vocabulary

    @property
    def merges(self) -> tuple[tuple[int, int], ...]:
        """The pairs of ids that are merged into other tokens; empty except at subword level."""
        return ()

    @property
    def spells(self) -> bool:
        """Whether words can be spelled between ``BEGIN_SPELLING`` and ``END_SPELLING``."""
        return len(self.reserved) > BEGIN_SPELLING

    @property
    def never_generated(self) -> NDArray[np.uint32]:
        """The ids that are read but never generated, uint32 [1]: ``UNKNOWN``."""
        return np.array([UNKNOWN], np.uint32)

    @cached_property
    def character_ids(self) -> NDArray[np.uint32]:
        """The ids of all single-character tokens, ascending, uint32 [characters]."""
        ids = [token_id for token, token_id in self._ids.items() if len(token) == 1]
        return np.array(ids, np.uint32)

    @cached_property
    def no_characters(self) -> NDArray[np.bool_]:
        """Whether each token is not a single character, bool [vocab_size]."""
        mask = np.ones(self.vocab_size, np.bool_)
        mask[self.character_ids] = False
        return mask

    @abstractmethod
    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of a text, uint32 [tokens]; unknown characters become ``UNKNOWN``.

        ``decode(encode(text)) == text`` for every text whose characters are all known.
        """

    def encode_beginning(self, text: str) -> NDArray[np.int64]:
        """Return ``END_OF_DOCUMENT`` and the ids of a document's beginning, int64 [1 + N]."""
        return np.concatenate([[END_OF_DOCUMENT], self.encode(text)]).astype(np.int64)

    def decode(self, ids: Iterable[int] | NDArray[np.integer]) -> str:
        """Return the text of ids: their ``pieces`` joined."""
        listed = ids.tolist() if isinstance(ids, np.ndarray) else ids
        return "".join(map(self.pieces.__getitem__, listed))

    def unknown_characters(self, text: str) -> Counter[str]:
        """Count the characters of a text that ``encode`` turns into ``UNKNOWN``."""
        codes = code_points(text)
        unknown, counts = np.unique(codes[self._lookup(codes) == UNKNOWN], return_counts=True)
        return Counter(dict(zip(map(chr, unknown.tolist()), counts.tolist(), strict=True)))

    def extend(self, other: Tokenizer) -> Tokenizer:
        """Return a tokenizer with the tokens of another one added; existing ids do not change.

        Raises:
            ConfigError: if the levels differ.
        """
        if other.level != self.level:
            raise ConfigError(
                f"a {self.level}-level vocabulary can't be extended by a {other.level}-level one. "
                f"Use `level` {self.level}."
            )
        known = self._ids
        added = tuple(t for t in self.addable(other.vocabulary) if t not in known)
        return replace(self, vocabulary=self.vocabulary + added)

    def addable(self, vocabulary: tuple[str, ...]) -> Iterable[str]:
        """Return the tokens of another vocabulary that ``extend`` adds if they are new."""
        return vocabulary

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Split a prompt into the text to encode and the prefix of the next token."""
        return prompt, ""

    def to_json(self) -> bytes:
        """Return the vocabulary as JSON, for ``tokenizer_from_json``."""
        return msgspec.json.encode(self.stored())

    def stored(self) -> dict[str, Any]:
        """Return the object that ``to_json`` writes, with its keys in order."""
        return {"level": self.level, "symbols": self.vocabulary}

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.vocabulary, len(self.reserved))}

    @cached_property
    def _table(self) -> NDArray[np.uint32]:
        """The id of each code point; the last entry stands for all higher code points."""
        codes = [ord(token) for token in self.vocabulary if len(token) == 1]
        table = np.full(max(codes, default=0) + 2, UNKNOWN, np.uint32)
        table[codes] = self.character_ids
        return table

    def _lookup(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self._table.take(codes, mode="clip")


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, lone surrogates included, uint32 [characters]."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
