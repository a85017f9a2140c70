"""Finds problems in a text that hurt a model: markup, tables, numbers, broken letters, copies.

Each problem is a sentence with a remedy, without the final period. The checks work on a sample of
the text and would rather miss a problem than report one in a text that is fine.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from charlstm.corpus.delimited import table_of
from charlstm.corpus.lines import lines_of

# Characters at the beginning of a text that are checked.
LOOKED_AT = 2**20

# A model memorizes a text of fewer than SHORT characters; from ENOUGH on, it can learn a style.
SHORT, ENOUGH = 20_000, 200_000

_MOSTLY = 0.9  # share of one character in the text that is a problem
_NEARLY_ALL, _MOST = 0.9, 0.5  # shares of lines
_FEWEST = 20  # lines or documents; with fewer, no check of lines or copies reports anything

# A tag, entity, broken or replaced letter is a problem if there is one in fewer characters.
_FOR_A_TAG, _FOR_AN_ENTITY, _FOR_A_BROKEN, _FOR_A_REPLACED = 500, 2_000, 500, 2_000

_TAGS = (
    "a b body br code div em font h[1-6] head html i img li link meta ol p pre script span strong "
)
_TAGS += "sub sup table tbody td th thead title tr u ul"
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS.split())})(?:\s[^<>]{{0,200}})?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,6});")
# UTF-8 that was decoded as Latin-1 or Windows-1252, such as é for é and “ for “.
_BROKEN = re.compile("[ÃÂ][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u2122]|â€[\u0090-\u2122]")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")

_KEY = re.compile(r'"\s*:')


def size_hazard(characters: int) -> str | None:
    """Return a warning that a text is short, or ``None`` if it is long enough."""
    if characters >= SHORT:
        return None
    return (
        f"the text is short ({characters:,} characters), so the model will memorize it. Learning "
        f"words takes about {SHORT:,} characters, and learning a style about {ENOUGH:,}"
    )


def copies_hazard(documents: int, copies: int) -> str | None:
    """Return a warning if at least a fifth of the documents are copies of others, else ``None``."""
    if documents < _FEWEST or copies < documents / 5:
        return None
    return (
        f"{copies / documents:.0%} of the documents are copies of others, which the model would "
        f"memorize. Skip them with `dedupe`"
    )


def hazards(sample: str, *, is_plain: bool = True, columns: int = 0) -> list[str]:
    """Return the problems found in a text, the worst first.

    Args:
        sample: the beginning of the text; at most ``LOOKED_AT`` characters are checked.
        is_plain: whether to check for a table or JSON that was read as plain text.
        columns: the number of columns in a document of a table; the tabs between them are ignored.
    """
    text = sample[:LOOKED_AT]
    if columns > 1:
        text = text.replace("\t", " ")
    lines = [line for line in lines_of(text) if line.strip()]
    if len(sample) > LOOKED_AT:
        del lines[-1:]
    checks: list[Callable[[str, Sequence[str]], str | None]] = [_one_character]
    if is_plain:
        checks += [_json, _table]
    checks += [_markup, _decoded_twice, _replaced, _numbers]
    return [found for check in checks if (found := check(text, lines)) is not None]


def _one_character(text: str, _lines: Sequence[str]) -> str | None:
    characters = Counter(text).most_common(1)
    if not characters or characters[0][1] < _MOSTLY * len(text):
        return None
    character, count = characters[0]
    return f"{count / len(text):.0%} of the text is {character!r}, so there is little to learn"


def _json(text: str, lines: Sequence[str]) -> str | None:
    are_objects = _share(lines, lambda line: line[0] == "{" and line.rstrip(", ")[-1:] == "}")
    if len(lines) >= _FEWEST and are_objects >= _NEARLY_ALL:
        return "the text looks like JSON Lines. Read it with `format` jsonl"
    if text.lstrip()[:1] in ("{", "[") and len(_KEY.findall(text)) >= _FEWEST:
        path = ".[] | objects" if text.lstrip().startswith("[") else ".NAME[]"
        return (
            "the text looks like JSON, so the model would learn braces and keys. Make each object "
            f"a document with jq -c '{path}' FILE > NEW.jsonl"
        )
    return None


def _table(text: str, lines: Sequence[str]) -> str | None:
    if len(set(lines)) < _FEWEST:  # a repeated sentence with commas is not a table
        return None
    found = table_of(text)
    # Two cells separated by a comma may be a list ("Surname, first name"), not a table.
    if found is None or (found[1] < 3 and found[0] != "\t"):
        return None
    separator, width = found
    text_format = "tsv" if separator == "\t" else "csv"
    return (
        f"the text looks like a table ({width} cells per row, separated by {separator!r}). Read it "
        f"with `format` {text_format}"
    )


def _markup(text: str, _lines: Sequence[str]) -> str | None:
    if _are_many(_TAG, text, _FOR_A_TAG):
        return (
            "the text is full of tags, such as those of HTML, which the model would learn to "
            "write. Remove them with pandoc -f html -t plain"
        )
    if _are_many(_ENTITY, text, _FOR_AN_ENTITY):
        found = _ENTITY.search(text)
        example = found[0] if found else "&amp;"
        return (
            f"the text has HTML entities, such as {example}. Convert them to characters with "
            f"python3 -c 'import html, sys; print(html.unescape(sys.stdin.read()))'"
        )
    return None


def _decoded_twice(text: str, _lines: Sequence[str]) -> str | None:
    found = _BROKEN.search(text)
    if found is None or not _are_many(_BROKEN, text, _FOR_A_BROKEN):
        return None
    return (
        f"the text has broken letters ({found[0]!r}), as if UTF-8 had been decoded in another "
        f"encoding and saved. Find an undamaged copy"
    )


def _replaced(text: str, _lines: Sequence[str]) -> str | None:
    if text.count("\ufffd") * _FOR_A_REPLACED <= len(text):
        return None
    return (
        "the text has lost characters (U+FFFD is in their place). Find an undamaged copy, or name "
        "the right `encoding`"
    )


def _numbers(_text: str, lines: Sequence[str]) -> str | None:
    def is_data(line: str) -> bool:
        return "\t" in line or len(_DIGIT.findall(line)) > len(_LETTER.findall(line))

    if len(lines) < _FEWEST or _share(lines, is_data) < _MOST:
        return None
    return (
        "most lines have tabs, or more digits than letters. A language model learns how numbers "
        "look, not what they mean"
    )


def _are_many(pattern: re.Pattern[str], text: str, for_each: int) -> bool:
    found = sum(1 for _ in pattern.finditer(text))
    return found >= 3 and found * for_each > len(text)


def _share(lines: Iterable[str], holds: Callable[[str], bool]) -> float:
    found = [holds(line) for line in lines]
    return sum(found) / max(1, len(found))
