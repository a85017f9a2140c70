"""Where a line of text ends: one rule for whatever reads lines or prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.api import LanguageModel


def keeps_returns(model: LanguageModel) -> bool:
    r"""Whether a "\r" at the end of a line is text: lines that had it were learned with it."""
    return model.checkpoint.config.corpus.lines and "\r" in model.tokenizer.pieces


def strip_line_end(line: str, *, keeps_returns: bool) -> str:
    r"""Return a line without its end, "\n" or "\r\n".

    Args:
        line: which may have an end.
        keeps_returns: what the function of that name tells of the model that is to read the line.
    """
    line = line.removesuffix("\n")
    return line if keeps_returns else line.removesuffix("\r")
