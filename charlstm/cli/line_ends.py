"""Where a line of text ends, for all commands that read lines or prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.api.model import LanguageModel


def line_rules(model: LanguageModel) -> int:
    r"""Return the rules for line ends (see ``Division``): 1 if "\r" at the end belongs to the text.

    Rules 1 are for checkpoints trained with --lines under those rules on lines that end in "\r".
    """
    division = model.checkpoint.config.corpus.division
    old = division.are_lines and division.rules == 1 and "\r" in model.tokenizer.pieces
    return 1 if old else 2


def strip_line_end(text: str, *, rules: int) -> str:
    r"""Return a text without its final line end: "\n", "\r\n", or "\r" if there is no "\n".

    Args:
        text: one or more lines.
        rules: the rules that ``line_rules`` returns for the model.
    """
    if text.endswith("\n"):
        line = text[:-1]
        return line if rules == 1 else line.removesuffix("\r")
    return text if rules == 1 or "\n" in text else text.removesuffix("\r")


def one_line(text: str) -> str:
    """Return a text as one printable line, with control characters and backslashes escaped."""
    return "".join(
        character
        if character.isprintable() and character != "\\"
        else character.encode("unicode_escape").decode()
        for character in text
    )
