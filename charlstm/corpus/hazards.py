"""What in a text will hurt a model that learns from it: markup, tables, numbers, broken letters.

A sample of a text goes in, sentences come out, each with a remedy, the worst first. They are for
notes, so that they rather miss something than accuse a text that is fine. Knows no files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from charlstm.corpus.delimited import table_of
from charlstm.corpus.lines import lines_of

# Characters of a text that are looked at, from its beginning.
LOOKED_AT = 2**20

# A text of fewer characters is learned by heart; of so many, a model can learn a language.
SHORT, ENOUGH = 20_000, 200_000

_MOSTLY = 0.9  # the share of one symbol that leaves little else
_NEARLY_ALL, _MOST = 0.9, 0.5  # of lines
_FEWEST = 20  # lines that tell anything

# So many characters of text for each tag, entity or broken letter are too few.
_FOR_A_TAG, _FOR_AN_ENTITY, _FOR_A_BROKEN, _FOR_A_REPLACED = 500, 2_000, 500, 2_000

_TAGS = (
    "a b body br code div em font h[1-6] head html i img li link meta ol p pre script span strong "
)
_TAGS += "sub sup table tbody td th thead title tr u ul"
_TAG = re.compile(rf"</?(?:{'|'.join(_TAGS.split())})(?:\s[^<>]{{0,200}})?/?>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[a-zA-Z]{2,8}|#\d{2,6}|#x[0-9a-fA-F]{2,6});")
# UTF-8 that was read as Latin-1 or Windows-1252: é, “ and their like.
_BROKEN = re.compile("[ÃÂ][\u0080-\u00bf\u0152-\u0178\u02c6\u02dc\u2013-\u2122]|â€[\u0090-\u2122]")
_LETTER, _DIGIT = re.compile(r"[^\W\d_]"), re.compile(r"\d")

_KEY = re.compile(r'"\s*:')


def size_hazard(characters: int) -> str | None:
    """Return what is to be said of the length of a text, if it is short."""
    if characters >= SHORT:
        return None
    return (
        f"{characters:,} characters are few: the model will soon know them by heart; it takes "
        f"about {SHORT:,} to learn words, and {ENOUGH:,} to learn a style"
    )


def copies_hazard(documents: int, copies: int) -> str | None:
    """Return what is to be said of documents that equal others, if they are many."""
    if documents < _FEWEST or copies < documents / 5:
        return None
    return (
        f"{copies / documents:.0%} of the documents are copies of others, which the model would "
        f"learn by heart; --dedupe leaves them out"
    )


def hazards(sample: str, *, is_plain: bool = True, columns: int = 0) -> list[str]:
    """Return what will hurt, the worst first.

    Args:
        sample: the beginning of the text; no more than ``LOOKED_AT`` characters are looked at.
        is_plain: whether the text may be a table that was taken for plain text.
        columns: of a table, how many make a document; tabs between them hurt nothing.
    """
    text = sample[:LOOKED_AT]
    if columns > 1:
        text = text.replace("\t", " ")
    lines = [line for line in lines_of(text) if line.strip()]
    if len(sample) > LOOKED_AT:
        del lines[-1:]
    checks: list[Callable[[str, Sequence[str]], str | None]] = [_one_symbol]
    if is_plain:
        checks += [_json, _table]
    checks += [_markup, _decoded_twice, _replaced, _numbers]
    return [found for check in checks if (found := check(text, lines)) is not None]


def _one_symbol(text: str, _lines: Sequence[str]) -> str | None:
    symbols = Counter(text).most_common(1)
    if not symbols or symbols[0][1] < _MOSTLY * len(text):
        return None
    symbol, count = symbols[0]
    return f"{count / len(text):.0%} of the text is {symbol!r}: there is little else to learn"


def _json(text: str, lines: Sequence[str]) -> str | None:
    are_objects = _share(lines, lambda line: line[0] == "{" and line.rstrip(", ")[-1:] == "}")
    if len(lines) >= _FEWEST and are_objects >= _NEARLY_ALL:
        return "the text looks like JSON Lines: --format jsonl reads the text in it"
    if text.lstrip()[:1] in ("{", "[") and len(_KEY.findall(text)) >= _FEWEST:
        return (
            "the text looks like JSON, which the model learns with braces and keys: jq -c "
            "'.NAME[]' FILE | charlstm train - --format jsonl reads the text of a list in it"
        )
    return None


def _table(text: str, lines: Sequence[str]) -> str | None:
    if len(set(lines)) < _FEWEST:  # a sentence that is repeated is no table
        return None
    found = table_of(text)
    # Two parts with a comma between them are in many lists.
    if found is None or (found[1] < 3 and found[0] != "\t"):
        return None
    separator, width = found
    text_format = "tsv" if separator == "\t" else "csv"
    return (
        f"the text looks like a table ({width} cells a row, separated by {separator!r}): --format "
        f"{text_format} reads the text in it"
    )


def _markup(text: str, _lines: Sequence[str]) -> str | None:
    if _are_many(_TAG, text, _FOR_A_TAG):
        return (
            "the text is full of tags, like those of HTML, which the model learns to write: "
            "pandoc -f html -t plain takes them out"
        )
    if _are_many(_ENTITY, text, _FOR_AN_ENTITY):
        found = _ENTITY.search(text)
        example = found[0] if found else "&amp;"
        return (
            f"the text has entities of HTML, like {example}: turn them into characters first "
            f"(python3 -c 'import html, sys; print(html.unescape(sys.stdin.read()))')"
        )
    return None


def _decoded_twice(text: str, _lines: Sequence[str]) -> str | None:
    found = _BROKEN.search(text)
    if found is None or not _are_many(_BROKEN, text, _FOR_A_BROKEN):
        return None
    return (
        f"letters look broken ({found[0]!r}), as if UTF-8 had been read as another encoding before "
        f"it was saved: find an undamaged copy of the text"
    )


def _replaced(text: str, _lines: Sequence[str]) -> str | None:
    if text.count("\ufffd") * _FOR_A_REPLACED <= len(text):
        return None
    return (
        "characters are lost (U+FFFD stands in for them): find an undamaged copy of the text, or "
        "give its --encoding"
    )


def _numbers(_text: str, lines: Sequence[str]) -> str | None:
    def is_data(line: str) -> bool:
        return "\t" in line or len(_DIGIT.findall(line)) > len(_LETTER.findall(line))

    if len(lines) < _FEWEST or _share(lines, is_data) < _MOST:
        return None
    return (
        "most lines have tabs or more digits than letters: a language model learns how numbers "
        "look, not what they say"
    )


def _are_many(pattern: re.Pattern[str], text: str, for_each: int) -> bool:
    found = sum(1 for _ in pattern.finditer(text))
    return found >= 3 and found * for_each > len(text)


def _share(lines: Iterable[str], holds: Callable[[str], bool]) -> float:
    found = [holds(line) for line in lines]
    return sum(found) / max(1, len(found))
