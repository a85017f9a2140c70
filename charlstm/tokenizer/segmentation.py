"""How text is divided into words, numbers, punctuation and white space.

Every text is a sequence of tokens, and the tokens in a row are the text. Both levels use this
module: the word level to encode, both to tell where a word begins and ends.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

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
