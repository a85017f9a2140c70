"""Divides text into words, numbers, punctuation and white space.

The tokens, joined, are the text again. Subword and word level encode these tokens; all levels use
them to find where words begin and end. New models use rules 2, under which no token ends inside a
visible character. Rules 1 are for checkpoints of formats 1 to 3 and for words at character level.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from enum import IntEnum
from functools import cache
from typing import NamedTuple

import numpy as np

from charlstm.arrays import Mask
from charlstm.config import Segmentation
from charlstm.tokenizer import clusters

# Scripts written without spaces (Thai to Myanmar, Khmer, kana, Chinese characters). Each of their
# characters is a separate token.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_LETTER = rf"[^\W\d_{_UNSPACED}]"
# Characters that join the letter before them: accents, Hebrew and Arabic points, joiners, and the
# vowel signs of the scripts of India, whose Unicode blocks all have the same layout.
_MARKS = (
    "\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u05bf\u05c1\u05c2\u05c7\u0610-\u061a\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u200c\u200d"
) + "".join(
    f"{chr(block)}-{chr(block + 3)}{chr(block + 0x3A)}-{chr(block + 0x63)}"
    for block in range(0x900, 0xE00, 0x80)
)
_WORD = rf"{_LETTER}{{1,64}}(?:(?:['’](?={_LETTER})|[{_MARKS}]{{1,8}}){_LETTER}{{0,64}}){{0,16}}"
_APOSTROPHES = "'’"
# Every string is a sequence of matches. Repetitions are bounded so that no token is huge. No match
# looks beyond a newline, so a text that is cut after a newline has the same tokens. Exported models
# contain this pattern too. Three examples:
#
#     "I don't, you do"   I| don't|,| you| do          an apostrophe before a letter joins
#     "for 12,5 km"       for| 12|,|5| km              a number has only digits
#     "ไทย ok"            ไ|ท|ย| ok                    Thai has no spaces: one token per character
_PATTERN_1 = (
    r" ?(?:"  # the space before a token belongs to it:
    rf"{_WORD}"  # a word, with its apostrophes and accents
    r"|\d{1,64}"  # a number
    r"|</?[A-Za-z]{1,32}>"  # a tag, such as <unk> or </p>
    r"|([^\w\s]|_)\1{0,63}"  # punctuation: one character, repeated
    r")"
    r"|\r\n|\n|\r"  # a line end
    rf"|[^\S\r\n]{{1,64}}(?= [^\s{_UNSPACED}])"  # white space without the space of the next token
    r"|[^\S\r\n]{1,64}"  # other white space
    r"|."  # a character of a script without spaces
)

_SIGNS = (
    rf"(?:[{clusters.EXTENDING}]{{1,16}}|(?=[^\0-\uffff])[{clusters.EXTENDING_ASTRAL}]{{1,16}})"
)
# The signs after a token, and what they join: an emoji after a joiner, or a letter below another.
_END_OF_CLUSTER = (
    r"(?:(?![\u0300-\U0010ffff])|"  # no signs, which is fast to check in most scripts
    rf"(?:{_SIGNS}(?:(?<={clusters.JOINER})[{clusters.PICTOGRAPHS}]"
    rf"|(?<=[{clusters.STACKERS}])[{_UNSPACED}])?){{0,16}})"
)
_WORD_2 = (
    rf"{_LETTER}{{1,64}}(?:(?:['’](?={_LETTER})|(?=[^\0-\u02ff]){_SIGNS}){_LETTER}{{0,64}}){{0,16}}"
)
_LONE_VOWELS = r"\u0e33\u0eb3"  # signs whose Unicode category is letter
# The same pattern with signs. Three more examples:
#
#     "ที่นี่ ok"           ที่|นี่| ok                    a Thai consonant, its vowel and its tone
#     "go 🇩🇪🇫🇷 👍🏽!!"      go| 🇩🇪|🇫🇷| 👍🏽|!!             flags, skin tones
#     "1️⃣2️⃣"                1️⃣|2️⃣                        keycaps
#
# The pattern separates some characters that Unicode joins: white space other than a space and the
# mark after it, signs before a number (U+0600 to U+0605 and similar) and the number, and the parts
# of clusters of more than 250 characters. A token may contain several visible characters, but only
# whole ones.
_PATTERN_2 = (
    r"(?: ?(?:"
    rf"{_WORD_2}"
    r"|\d{1,64}"
    r"|</?[A-Za-z]{1,32}>"
    rf"|[{clusters.REGIONAL_INDICATORS}]{{2}}"  # a flag
    rf"|([^\w\s]|[_{_LONE_VOWELS}])\1{{0,63}}"
    r")"
    rf"|[{_UNSPACED}]){_END_OF_CLUSTER}"
    r"|\r\n|\n|\r"
    rf"|[^\S\r\n]{{1,64}}(?= (?:[^\s{_UNSPACED}]|[^\w\s]|[\d{_LONE_VOWELS}]))"
    r"|[^\S\r\n]{1,64}"
)
TOKEN_PATTERNS: dict[Segmentation, str] = {1: _PATTERN_1, 2: _PATTERN_2}
# Tokens that further letters or digits can extend.
PARTIAL_WORDS: dict[Segmentation, str] = {
    1: rf" ?(?:{_WORD}|\d{{1,64}})",
    2: rf" ?(?:{_WORD_2}|\d{{1,64}})",
}


def tokens_of(text: str, rules: Segmentation = 1) -> Iterator[str]:
    """Yield the word-level tokens of a text; joined, they are the text."""
    return map(re.Match.group, _token_pattern(_simplest(text, rules)).finditer(text))


def _simplest(text: str, rules: Segmentation) -> Segmentation:
    """Return 1 if rules 1, which are faster, divide a text like ``rules``; otherwise 2."""
    if rules == 1 or text.isascii():
        return 1
    differing = _may_differ()
    for start in range(0, len(text), _BLOCK):
        data = text[start : start + _BLOCK].encode("utf-32-le", "surrogatepass")
        if differing.take(np.frombuffer(data, "<u4"), mode="clip").any():
            return 2
    return 1


_BLOCK = 2**14  # characters


@cache
def _may_differ() -> Mask:
    """Return for each code point whether the two rules may treat it differently, bool [65536].

    They may for signs, scripts without spaces and flags, but not for the letters and punctuation of
    Latin, Greek and Cyrillic. The last entry stands for all higher code points.
    """
    differing = np.zeros(2**16, np.bool_)
    for first, last in _MAY_DIFFER:
        differing[first : last + 1] = True
    return differing


_MAY_DIFFER = (
    (0x300, 0x36F),
    (0x483, 0x489),
    (0x591, 0x1DFF),
    (0x200C, 0x200D),
    (0x20D0, 0x20FF),
    (0x2C00, 0xFFFF),
)


@cache
def _token_pattern(rules: Segmentation) -> re.Pattern[str]:
    """Compile a pattern on first use: this takes as long as generating hundreds of characters."""
    return re.compile(TOKEN_PATTERNS[rules], re.DOTALL)


@cache
def _partial_word_pattern(rules: Segmentation) -> re.Pattern[str]:
    """Compile the pattern of tokens that further letters or digits can extend."""
    return re.compile(PARTIAL_WORDS[rules])


@cache
def _sign_pattern() -> re.Pattern[str]:
    return re.compile(_SIGNS)


def is_sign(character: str) -> bool:
    """Return whether a character joins the one before it, by rules 2."""
    return _simplest(character, 2) == 2 and _sign_pattern().match(character) is not None


class Kind(IntEnum):
    """The role of a character in words and numbers."""

    LETTER = 0  # begins or continues a word
    MARK = 1  # continues a word; elsewhere it is punctuation
    APOSTROPHE = 2  # continues a word if a letter follows; elsewhere it is punctuation
    DIGIT = 3
    SPACE = 4
    ALONE = 5  # a character of a script without spaces, which is a separate token
    OTHER = 6  # punctuation; a run of the same character is a token


def kind_of(character: str) -> Kind:
    """Return the role of one character in word-level tokens by rules 1.

    By rules 2, a character also continues a token if it is a sign (see ``is_sign``).
    """
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


def is_between_tokens(before: str, after: str) -> bool:
    """Return whether a text can be cut between two neighbors without changing its tokens.

    True holds under both rules. False may be wrong, since only two characters are checked.
    """
    if before in "\r\n" or after in "\r\n":
        return before + after != "\r\n" and not (before.isspace() and after.isspace())
    kinds = kind_of(before), kind_of(after)
    if Kind.SPACE in kinds:
        return kinds[1] == Kind.SPACE and kinds[0] != Kind.SPACE
    in_word = all(
        kind in (Kind.LETTER, Kind.MARK, Kind.APOSTROPHE) or is_sign(character)
        for character, kind in zip((before, after), kinds, strict=True)
    )
    in_tag = before in "</" or after == ">"
    same = before == after or kinds == (Kind.DIGIT, Kind.DIGIT)
    return not (in_word or in_tag or same) and is_between_clusters(before, after)


def is_between_clusters(before: str, after: str) -> bool:
    """Return whether two neighbors belong to different visible characters."""
    if before + after == "\r\n" or "\u200d" in (before, after):
        return False
    if is_sign(after) or (before in clusters.STACKERS and not after.isspace()):
        return False
    return not (_FLAG.fullmatch(before + after) or _JAMO.fullmatch(before + after))


_FLAG = re.compile(f"[{clusters.REGIONAL_INDICATORS}]{{2}}")
# Two neighboring parts of a Korean syllable; the first may already be composed.
_JAMO = re.compile("[\u1100-\u11ff\uac00-\ud7a3][\u1160-\u11ff]|[\u1100-\u115f][\uac00-\ud7a3]")


class PartialWord(NamedTuple):
    """A prompt split before its last word, which may be incomplete: ``before + space + typed``.

    Attributes:
        before: the complete part of the prompt.
        typed: the word or number at the end of the prompt; empty if it ends with neither.
        space: the space that belongs to the token of ``typed``: one space or empty.
    """

    before: str
    typed: str
    space: str

    @property
    def ends_open(self) -> bool:
        """Whether ``typed`` ends with an apostrophe, which joins only if a letter follows."""
        return self.typed[-1:] in tuple(_APOSTROPHES)


def partial_word(prompt: str, rules: Segmentation = 1) -> PartialWord:
    """Split a prompt before the word or number at its end (see ``PartialWord``)."""
    if prompt.endswith(" "):
        return PartialWord(prompt[:-1], "", " ")
    # No token contains a line end and anything else, so the last line is enough.
    previous, last = deque(["", "", *tokens_of(prompt[prompt.rfind("\n") + 1 :], rules)], 2)
    extensible = _partial_word_pattern(_simplest(prompt, rules)).fullmatch
    if last and last in _APOSTROPHES and extensible(previous) and not previous[-1].isdecimal():
        last = previous + last
    elif not extensible(last):
        return PartialWord(prompt, "", "")
    typed = last.removeprefix(" ")
    return PartialWord(prompt.removesuffix(last), typed, last.removesuffix(typed))
