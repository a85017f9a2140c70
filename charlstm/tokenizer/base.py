"""Text to ids and back, without loss: character level and word level, one small contract.

An id is a reserved one or names a symbol: a character, or at word level also a longer token. Words
that are not in the vocabulary are spelled in characters, so that only a character never seen can
become the unknown symbol. This module knows no files and no model.
"""

from __future__ import annotations

import re
import unicodedata
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, cached_property
from itertools import chain
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import msgspec
import numpy as np

from charlstm.config import Level, TokenizerConfig
from charlstm.errors import CheckpointDamaged, ConfigError, harmless
from charlstm.unicode_text import has_surrogates

if TYPE_CHECKING:
    from numpy.typing import NDArray

END_OF_DOCUMENT = 0
UNKNOWN = 1
BEGIN_SPELLING = 2
END_SPELLING = 3

REPLACEMENT = "\ufffd"
CODE_POINTS = 0x110000
SURROGATES = slice(0xD800, 0xE000)
CACHED_TOKENS = 2**18
COUNTED_TOKENS = 2**22
LISTED_CHARACTERS = 5

# Scripts written without spaces (Thai to Myanmar, Khmer, kana, Chinese characters): there each
# character is a token of its own.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W\d_{_UNSPACED}]"
# What joins to the letter before it: accents, Hebrew and Arabic points, joiners, and the vowel
# signs of the scripts of India, whose blocks are laid out alike.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u200c\u200d"
) + "".join(
    f"{chr(block)}-{chr(block + 3)}{chr(block + 0x3A)}-{chr(block + 0x63)}"
    for block in range(0x900, 0xE00, 0x80)
)
_WORD = rf"{_LETTER}{{1,64}}(?:(?:['’](?={_LETTER})|[{_MARKS}]{{1,8}}){_LETTER}{{0,64}}){{0,16}}"
_APOSTROPHES = "'’"
# Every string is a sequence of matches. Repetitions are bounded so that no token is huge, and no
# match looks beyond a newline, so that a text cut after one has the same tokens.
TOKEN_PATTERN = (
    rf" ?(?:{_WORD}|\d{{1,64}}|</?[A-Za-z]{{1,32}}>|([^\w\s]|_)\1{{0,63}})"
    rf"|\r\n|\n|\r|[^\S\r\n]{{1,64}}(?= [^\s{_UNSPACED}])|[^\S\r\n]{{1,64}}|."
)
# What the pattern's bounds come to: a space, letters, and sixteen times marks and letters.
LONGEST_TOKEN = 1 + 64 + 16 * (8 + 64)
LARGEST_JSON = 2**28
# Quotation marks within symbols: one alone, and in runs with or without a space, as tokens are.
_QUOTES_IN_SYMBOLS = 1 + 2 * sum(range(65))


@dataclass(frozen=True)
class Tokenizer(ABC):
    """A vocabulary and how text is divided into it.

    Attributes:
        symbols: the text of each id after the reserved ones, in the order of the ids.
    """

    symbols: tuple[str, ...]

    level: ClassVar[Level]
    reserved: ClassVar[tuple[str, ...]]

    @property
    def vocab_size(self) -> int:
        """How many ids there are, the reserved ones included."""
        return len(self.reserved) + len(self.symbols)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """The text of each id: of the unknown symbol U+FFFD, of the other reserved ones none."""
        return self.reserved + self.symbols

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
        codes = _code_points(text)
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
        return type(self)(self.symbols + tuple(s for s in other.symbols if s not in known))

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Return the text to encode, and what the continuation must start with."""
        return prompt, ""

    def to_json(self) -> bytes:
        """Return the vocabulary as JSON, for ``tokenizer_from_json``."""
        return msgspec.json.encode({"level": self.level, "symbols": self.symbols})

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {symbol: index for index, symbol in enumerate(self.symbols, len(self.reserved))}

    @cached_property
    def _table(self) -> NDArray[np.uint32]:
        """Map code points to ids; one place more than needed, for all that lie beyond."""
        codes = [ord(symbol) for symbol in self.symbols if len(symbol) == 1]
        table = np.full(max(codes, default=0) + 2, UNKNOWN, np.uint32)
        table[codes] = self.character_ids
        return table

    def _lookup(self, codes: NDArray[np.uint32]) -> NDArray[np.uint32]:
        return self._table.take(codes, mode="clip")


class CharTokenizer(Tokenizer):
    """Every Unicode code point is a token."""

    level = "char"
    reserved = ("", REPLACEMENT)

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the id of each character, shape ``[characters]``."""
        return self._lookup(_code_points(text))


class WordTokenizer(Tokenizer):
    """Words, numbers, punctuation and white space are tokens; rare ones are spelled.

    A token outside the vocabulary becomes ``BEGIN_SPELLING``, its characters, ``END_SPELLING``; a
    token of one character is that character's id alone. The space before a word, a number or
    punctuation belongs to that token.
    """

    level = "word"
    reserved = ("", REPLACEMENT, "", "")

    def encode(self, text: str) -> NDArray[np.uint32]:
        """Return the ids of the text's tokens, spelled where need be, shape ``[tokens]``."""
        ids = map(self._encodings.__getitem__, tokens_of(text))
        return np.fromiter(chain.from_iterable(ids), np.uint32)

    def split_prompt(self, prompt: str) -> tuple[str, str]:
        """Return the prompt without its last word or number, which may be half typed.

        One space at the end is the beginning of the next token.
        """
        word = partial_word(prompt)
        if word.ends_open:  # so far the apostrophe is a token of its own
            return prompt, ""
        return word.before, word.space + word.typed

    @cached_property
    def _encodings(self) -> _Encodings:
        return _Encodings(self._ids)


class _Encodings(dict[str, tuple[int, ...]]):
    """The ids of tokens, worked out when first asked for; as many as fit are kept."""

    def __init__(self, ids: dict[str, int]) -> None:
        super().__init__()
        self._known = ids

    def __missing__(self, token: str) -> tuple[int, ...]:
        ids = self._encode(token)
        if len(self) < CACHED_TOKENS:
            self[token] = ids
        return ids

    def _encode(self, token: str) -> tuple[int, ...]:
        if token in self._known or len(token) == 1:
            return (self._known.get(token, UNKNOWN),)
        return (BEGIN_SPELLING, *(self._known.get(c, UNKNOWN) for c in token), END_SPELLING)


class _Stored(msgspec.Struct, forbid_unknown_fields=True):
    level: Level
    symbols: tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_TOKEN)], ...]


def largest_json(vocab_size: int) -> int:
    """Return how many bytes a vocabulary of so many ids may have as JSON."""
    return min(LARGEST_JSON, 2**16 + (4 * LONGEST_TOKEN + 3) * vocab_size)


def tokenizer_from_json(data: bytes, most: int | None = None) -> Tokenizer:
    """Read what ``Tokenizer.to_json`` wrote.

    Args:
        data: the JSON.
        most: how many ids there may be; more are not even decoded.

    Raises:
        CheckpointDamaged: if it is anything else.
    """
    if most is not None and data.count(b'"') > 2 * most + 2 * _QUOTES_IN_SYMBOLS:
        raise _damaged("it has more symbols than the model")
    try:
        stored = msgspec.json.decode(data, type=_Stored)
    except (ValueError, RecursionError) as error:
        raise _damaged(harmless(str(error).replace("`", ""), 200)) from error
    if len(set(stored.symbols)) < len(stored.symbols):
        raise _damaged("a symbol occurs twice")
    if stored.level == "char" and any(len(symbol) > 1 for symbol in stored.symbols):
        raise _damaged("a word stands among the characters")
    return (CharTokenizer if stored.level == "char" else WordTokenizer)(stored.symbols)


def _damaged(reason: str) -> CheckpointDamaged:
    return CheckpointDamaged(
        f"the stored tokenizer is damaged ({reason}): restore the checkpoint from a copy, "
        "or train again"
    )


def build_tokenizer(texts: Iterable[str], config: TokenizerConfig) -> Tokenizer:
    """Make a vocabulary from texts, in one pass that holds one text at a time.

    Character level: every code point that occurs, in order. Word level: the same characters, then
    the ``config.vocab_size`` most frequent tokens of two characters or more that occur at least
    ``config.min_count`` times, most frequent first, ties in the order of their text. Lone
    surrogates never become symbols. Of a text with millions of distinct tokens, those that have
    been rare so far are forgotten on the way, which bounds the memory.
    """
    if config.level == "char":
        return CharTokenizer(_characters(texts))
    counts: Counter[str] = Counter()

    def counted() -> Iterator[str]:
        for text in texts:
            counts.update(tokens_of(text))
            if len(counts) > COUNTED_TOKENS:
                _forget_rare(counts)
            yield text

    return WordTokenizer(_characters(counted()) + _frequent_words(counts, config))


def _forget_rare(counts: Counter[str]) -> None:
    """Drop what has occurred least until half the places are free; frequent tokens stay."""
    least = 0
    while len(counts) > COUNTED_TOKENS // 2:
        least += 1
        for token in [token for token, count in counts.items() if count <= least]:
            del counts[token]


def _characters(texts: Iterable[str]) -> tuple[str, ...]:
    seen = np.zeros(CODE_POINTS, np.bool_)
    for text in texts:
        seen[_code_points(text)] = True
    seen[SURROGATES] = False
    return tuple(map(chr, np.flatnonzero(seen).tolist()))


def _frequent_words(counts: Counter[str], config: TokenizerConfig) -> tuple[str, ...]:
    words = [
        (-count, token)
        for token, count in counts.items()
        if count >= config.min_count and len(token) > 1 and not has_surrogates(token)
    ]
    return tuple(token for _, token in sorted(words)[: config.vocab_size])


def tokens_of(text: str) -> Iterator[str]:
    """Divide a text into word level tokens, which in a row are the text."""
    return map(re.Match.group, _token_pattern().finditer(text))


@cache
def _token_pattern() -> re.Pattern[str]:
    """Compile the pattern on first use: it takes as long as a hundred generated characters."""
    return re.compile(TOKEN_PATTERN, re.DOTALL)


@cache
def _half_typed_pattern() -> re.Pattern[str]:
    """Compile what may go on as the same token."""
    return re.compile(rf" ?(?:{_WORD}|\d{{1,64}})")


class Kind(IntEnum):
    """What a character is to the word or number it stands in or beside."""

    LETTER = 0  # begins words and goes on with them
    MARK = 1  # goes on with a word; elsewhere it is punctuation
    APOSTROPHE = 2  # goes on with a word if a letter follows; elsewhere it is punctuation
    DIGIT = 3
    SPACE = 4
    ALONE = 5  # a character of a script without spaces, a token of its own
    OTHER = 6  # punctuation, of which a run of one character is a token


def kind_of(character: str) -> Kind:
    """Return what one character is to the tokens of word level."""
    if re.match(_LETTER, character):
        return Kind.LETTER
    if character in _APOSTROPHES:
        return Kind.APOSTROPHE
    if re.match(rf"[{_MARKS}]", character):
        return Kind.MARK
    if character.isspace():
        return Kind.SPACE
    if re.match(r"\d", character):
        return Kind.DIGIT
    return Kind.ALONE if re.match(r"[^\W_]", character) else Kind.OTHER


class PartialWord(NamedTuple):
    """The end of a prompt that may go on: the prompt is ``before + space + typed``.

    Attributes:
        before: all that is complete.
        typed: the word or number that the prompt ends with, which may be half typed; often empty.
        space: the one space before it, or at the end of the prompt, that belongs to its token.
    """

    before: str
    typed: str
    space: str

    @property
    def ends_open(self) -> bool:
        """Whether an apostrophe ends it, which is a part of the word only if a letter follows."""
        return self.typed[-1:] in tuple(_APOSTROPHES)


def partial_word(prompt: str) -> PartialWord:
    """Return the word or number that a prompt ends with; see ``PartialWord``."""
    if prompt.endswith(" "):
        return PartialWord(prompt[:-1], "", " ")
    # No token goes over the end of a line.
    previous, last = deque(["", "", *tokens_of(prompt[prompt.rfind("\n") + 1 :])], 2)
    half_typed = _half_typed_pattern().fullmatch
    if last and last in _APOSTROPHES and half_typed(previous) and not previous[-1].isdecimal():
        last = previous + last
    elif not half_typed(last):
        return PartialWord(prompt, "", "")
    typed = last.removeprefix(" ")
    return PartialWord(prompt.removesuffix(last), typed, last.removesuffix(typed))


def _code_points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def describe_unknown(counts: Counter[str]) -> str:
    """Say how many unknown characters there are and which, the most frequent first."""
    listed = sorted(counts, key=lambda character: (-counts[character], character))
    shown = [f"{counts[c]} × {_described(c)}" for c in listed[:LISTED_CHARACTERS]]
    if len(listed) > LISTED_CHARACTERS:
        shown[-1] += f" and {len(listed) - LISTED_CHARACTERS} more"
    plural = "" if counts.total() == 1 else "s"
    return f"{counts.total()} unknown character{plural} ({', '.join(shown)})"


def _described(character: str) -> str:
    visible = character.isprintable() and unicodedata.category(character)[0] not in "ZM"
    return f"'{character}' U+{ord(character):04X}" if visible else f"U+{ord(character):04X}"
