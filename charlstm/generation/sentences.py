"""The ends of sentences in a growing text of any script.

A sentence ends with a sentence terminal of Unicode or an ellipsis, and the closing quotes and
brackets after it. Most terminals have no other use. ``.``, ``!``, ``?`` and similar characters must
be followed by white space, and the next letter must not be lower-case unless the text has had no
capital so far. A single dot must not belong to an abbreviation, an initial, or the number of an
item or a day. A blank line ends the sentence in any case.

The context of a terminal has a limited number of characters, so a text can be searched as it grows.
"""

from __future__ import annotations

from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    import regex

# Abbreviations before a name or another word, with any capitalization. Abbreviations that are also
# words of some language are left out.
_BEFORE_WORDS = """
    approx bzw ca cf dept doc dott dr dra drs dvs evtl ex frl ggf gral incl ing inkl kb messrs mevr
    mgr mlle mme mr mrs ms mx np např pp prof profa pvt sgt sra srta supt tzn tzv tzw ul vgl viz vs
    βλ δηλ акад вул доц проф тов ул
"""
# The same, but only with a capital, because they are words without one.
_TITLES = """
    Adm Av Avv Capt Cmdr Col Fr Gen Gov Hon Hr Lt MM Mag Maj Mmes Mt Pres Rep Rev Sen Sig Sr St
    Ste Str Ud Uds
"""
# Abbreviations that can end a sentence: they do unless a lower-case letter follows.
_LAST = "al bros co corp etc ff inc jr ltd usw vb гг др пр"
_BEFORE_NUMBERS = """
    abb art bd cap ch chap eq fig figs kap lib nos no nr num núm op par pág pos sec sect tab tel
    vol vols гл рис см стр jan feb febr mar apr jun jul aug sep sept oct okt nov dec dez
"""
# Words that German capitalizes after a number and a dot, of at most _MONTH letters.
_AFTER_DAYS = (
    "Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|Jahrhundert"
)
_MONTH = 11

_CONTEXT = 48  # the number of characters before a text that its ends depend on
_LONGEST_WORD = 12
# Terminals with other uses (``wow!nice``, ``?x=1``), including the dot, and those without. The shad
# of Tibetan ends both phrases and sentences. The semicolon is the question mark of Greek.
_SPACED = r"!?…\u203c\u203d\u2047-\u2049\u2e2e\u2e3c\u2e53\u2e54"
_TERMINAL = r"\p{Sentence_Terminal}\u0f0d\u0f0e…"
_GREEK = r"(?<=\p{Greek}\p{M}?)[;\u037e]"
_WITHOUT_SPACES = r"\p{Han}\p{Hiragana}\p{Katakana}"
_FREE = rf"[^{_SPACED};\u037e]|(?<=[{_WITHOUT_SPACES}][!?]{{0,4}})[!?]"
_SPACE = r"[^\S\r\n]"
_LINE_END = r"(?:\r\n?+|\n)"
# Marks of emphasis can close and open too. The limits are higher than in any real text.
_CLOSING = r"""\p{Pe}\p{Pf}"'*_\p{Cf}\p{Mn}"""
_CLOSINGS = rf"(?:[{_CLOSING}\p{{Pi}}]|[\u00a0\u202f][\p{{Pe}}\p{{Pf}}]|{_SPACE}[»›](?=\s)){{0,8}}+"
_OPENING = rf"""(?:{_SPACE}|[\p{{Ps}}\p{{Pi}}\p{{Pf}}"'*_¿¡])"""
_GAP = rf"(?=\s)(?:{_OPENING}|\p{{Pd}}){{0,20}}+(?:{_LINE_END}{_OPENING}{{0,20}}+)?+"
_BLANK = rf"(?=\s){_SPACE}{{0,20}}+(?:{_LINE_END}{_SPACE}{{0,20}}+)"
# A letter before a dot is an initial, unless it is a word ("I"), a syllable or a unit.
_INITIAL = (
    rf"(?<!\p{{Nd}}{_SPACE})[\p{{L}}--[Iя\p{{Hangul}}{_WITHOUT_SPACES}]]\p{{M}}{{0,3}}[.\u2024]"
    rf"|(?<=\p{{Lu}}\.{_SPACE}?)I\."
)
_NO_WORD = r"(?<![\p{L}\p{M}\p{N}_'’])"
# Dots after the number of an item and after the number of a day.
_ITEM = rf"(?<=[\r\n]{_SPACE}{{0,8}}\p{{Nd}}{{1,3}})"
_DAY = rf"(?<={_NO_WORD}(?<![.,:/])\p{{Nd}}{{1,2}})"
_CAPITAL = r"(?![\p{Ll}--\p{Georgian}])(?s:.)"  # not lower-case; Georgian has no capitals


class _Kind(Enum):
    """How a terminal ends a sentence.

    A value has three patterns: the end of the sentence after the terminal, the text that must
    follow, and the beginnings of that text at the end of a growing text.
    """

    # Followed by anything but another terminal, and not a full-width dot between digits.
    FREE = (
        rf"[{_CLOSING}]{{0,8}}+",
        rf"(?!(?<=\p{{Nd}}．)\p{{Nd}})[^{_TERMINAL}{_CLOSING}]",
        "(?!)",
    )
    SPACED = rf"[{_CLOSING}\p{{Pi}}]{{0,8}}+", r"\s", "(?!)"
    BEFORE_CAPITAL = _CLOSINGS, _GAP + _CAPITAL, _GAP
    BEFORE_NUMBER = _CLOSINGS, rf"{_GAP}(?!\p{{Nd}}){_CAPITAL}", _GAP
    AFTER_DAY = (
        _CLOSINGS,
        rf"{_GAP}(?={_CAPITAL})(?!{_AFTER_DAYS})(?:\p{{L}}{{1,{_MONTH}}}+(?s:.)|\P{{L}})",
        rf"{_GAP}(?:(?={_CAPITAL})(?!{_AFTER_DAYS})\p{{L}}{{1,{_MONTH}}}+)?+",
    )
    BEFORE_BLANK_LINE = _CLOSINGS, rf"{_BLANK}[\r\n]", f"{_BLANK}?+"


class Before(NamedTuple):
    """The part of the text before another text that the ends of sentences depend on.

    Attributes:
        end: its last characters. At first this is a line end.
        outside: the number of these characters that are not part of a sentence.
        has_capital: whether there is a capital anywhere in it.
    """

    end: str = "\n"
    outside: int = 1
    has_capital: bool = False

    def add(self, text: str, *, has_content: bool) -> Before:
        """Return the text before the next text, after adding this one.

        Args:
            text: the text to add.
            has_content: whether a sentence began before it. If not, its white space is outside.
        """
        end = self.end + text
        outside = self.outside if has_content else len(end) - len(text.lstrip())
        has_capital = self.has_capital or any(map(str.isupper, text))
        dropped = max(0, len(end) - _CONTEXT)
        return Before(end[dropped:], max(0, outside - dropped), has_capital)


NOTHING = Before()


def after_prompt(prompt: str) -> Before:
    """Return the text before a text that continues a prompt. The prompt is not searched."""
    end = NOTHING.add(prompt, has_content=True)
    return end._replace(outside=len(end.end))


def find_end(
    text: str, before: Before, *, has_content: bool, searched: int
) -> tuple[int, int] | None:
    """Return where the first end of a sentence is complete, and where the sentence ends.

    Args:
        text: the text.
        before: the text before it.
        has_content: whether a sentence has begun in the text before it.
        searched: the number of its characters that were searched before. An end that was complete
            then does not count.
    """
    whole, shift = before.end + text, len(before.end)
    for position, kind in _terminals(text, before, has_content=has_content):
        match = _after(kind).match(whole, position + 1)
        if match and match.end() > searched + shift:
            return match.end() - shift, match.start(1) - shift
    return None


def pending_length(text: str, before: Before, *, has_content: bool) -> int:
    """Return how many characters at the end of a text may follow the end of a sentence.

    Args:
        text: the text.
        before: the text before it.
        has_content: whether a sentence has begun in the text before it.
    """
    whole = before.end + text
    for position, kind in _terminals(text, before, has_content=has_content):
        if match := _after(kind, at_end=True).match(whole, position + 1):
            return len(whole) - match.start(1)
    return 0


def _terminals(text: str, before: Before, *, has_content: bool) -> Iterator[tuple[int, _Kind]]:
    """Yield the position and kind of each terminal in a text and the text before it."""
    whole, shift = before.end + text, len(before.end)
    first = before.outside if has_content else len(whole) - len(text.lstrip())
    capitals = (position for position, letter in enumerate(text, shift) if letter.isupper())
    capital = 0 if before.has_capital else next(capitals, len(whole))
    for match in _compiled(f"[{_TERMINAL}]|{_GREEK}").finditer(whole, first):
        yield match.start(), _kind_of(whole, match.start(), has_capital=match.start() >= capital)


def _kind_of(text: str, position: int, *, has_capital: bool) -> _Kind:
    """Return the kind of a terminal in a text. ``has_capital``: whether a capital precedes it."""
    plain = _Kind.BEFORE_CAPITAL if has_capital else _Kind.SPACED
    if text[position] not in ".\u2024":
        return _Kind.FREE if _at(text, position, _FREE) else plain
    if _at(text, position, rf"(?<=[{_TERMINAL}])"):
        return plain
    word = _word_before(text, position)
    if word in _words(_TITLES) or word.lower() in _words(_BEFORE_WORDS):
        return _Kind.BEFORE_BLANK_LINE
    if word.lower() in _words(_LAST):
        return _Kind.BEFORE_CAPITAL
    if word.lower() in _words(_BEFORE_NUMBERS):
        return _Kind.BEFORE_NUMBER
    if _at(text, position - len(word), _INITIAL) or _at(text, position, _ITEM):
        return _Kind.BEFORE_BLANK_LINE
    return _Kind.AFTER_DAY if has_capital and _at(text, position, _DAY) else plain


def _word_before(text: str, position: int) -> str:
    """Return the word that ends at a position; empty if there is none or it is too long."""
    pattern = rf"{_NO_WORD}[\p{{L}}\p{{M}}]{{1,{_LONGEST_WORD}}}\Z"
    match = _compiled(pattern).search(text[max(0, position - _LONGEST_WORD - 1) : position])
    return match[0] if match else ""


def _at(text: str, position: int, pattern: str) -> bool:
    return _compiled(pattern).match(text, position) is not None


@cache
def _words(several: str) -> frozenset[str]:
    return frozenset(several.split())


@cache
def _after(kind: _Kind, *, at_end: bool = False) -> regex.Pattern[str]:
    """Return the pattern of the text after a terminal. Its group begins where the sentence ends."""
    closings, following, begun = kind.value
    return _compiled(rf"{closings}({begun})\Z" if at_end else f"{closings}({following})")


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    import regex

    return regex.compile(pattern, regex.V1)
