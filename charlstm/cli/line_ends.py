"""Where a line of text ends: the rule of all commands that read lines or prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.api import LanguageModel


def line_rules(model: LanguageModel) -> int:
    r"""Return the rules by which lines end (see ``Division``): 1 if "\r" at the end is text.

    So it is for a model of lines that was trained by the rules 1 on lines with such ends.
    """
    division = model.checkpoint.config.corpus.division
    old = division.are_lines and division.rules == 1 and "\r" in model.tokenizer.pieces
    return 1 if old else 2


def strip_line_end(text: str, *, rules: int) -> str:
    r"""Return a text without the line end at its end: "\n", "\r\n", or "\r" if no line has "\n".

    Args:
        text: a line, or a text of several.
        rules: as the function ``line_rules`` decides for a model.
    """
    if text.endswith("\n"):
        line = text[:-1]
        return line if rules == 1 else line.removesuffix("\r")
    return text if rules == 1 or "\n" in text else text.removesuffix("\r")


def one_line(text: str) -> str:
    """Return a text as one line of printable text: control characters and backslashes escaped."""
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode()
        for character in text
    )
