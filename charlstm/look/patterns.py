"""The pattern that divides text into words, in the syntax of JavaScript."""

from __future__ import annotations

import re

from charlstm.config import Segmentation
from charlstm.tokenizer.segmentation import PARTIAL_WORDS, TOKEN_PATTERNS

# Python's \s, \w and \d for text; JavaScript's \w and \d know ASCII only.
_SPACES = r"\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORD = r"\p{L}\p{N}_"
_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])*)\]|\\([dsS])")


def javascript_pattern(rules: Segmentation) -> str:
    """Return a token pattern for a regular expression with the flags ``gsv``.

    Both languages divide a text alike, but for characters whose category differs between their
    versions of Unicode.
    """
    return _translation(TOKEN_PATTERNS[rules])


def javascript_partial_word(rules: Segmentation) -> str:
    """Return a pattern of tokens that more letters or digits can extend, for the flags ``sv``."""
    return _translation(PARTIAL_WORDS[rules])


def _translation(python: str) -> str:
    pattern = _CLASS.sub(_translated, python)
    return re.sub(r"\\U0*([0-9a-fA-F]+)", r"\\u{\1}", pattern)


def _translated(match: re.Match[str]) -> str:
    negated, content, lone = match.groups()
    if lone:
        return {"d": r"\p{Nd}", "s": f"[{_SPACES}]", "S": f"[^{_SPACES}]"}[lone]
    content = content.replace(r"\d", r"\p{Nd}").replace(r"\s", _SPACES)
    if negated and r"\W" in content:  # no non-word character and none of the rest
        return rf"[[{_WORD}]--[{content.replace(chr(92) + 'W', '')}]]"
    if negated and r"\S" in content:
        return rf"[[{_SPACES}]--[{content.replace(chr(92) + 'S', '')}]]"
    return f"[{negated}{content.replace(chr(92) + 'w', _WORD)}]"
