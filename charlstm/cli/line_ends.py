"""Where a line of text ends: the rule of all commands that read lines or prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from charlstm.api import LanguageModel


def keeps_returns(model: LanguageModel) -> bool:
    r"""Whether "\r" at a line's end is text: for a model of lines trained on such lines."""
    return model.checkpoint.config.corpus.lines and "\r" in model.tokenizer.pieces


def strip_line_end(line: str, *, keeps_returns: bool) -> str:
    r"""Return a line without its end, "\n" or "\r\n".

    Args:
        line: a line, with or without its end.
        keeps_returns: whether "\r" stays, as the function of that name decides for a model.
    """
    line = line.removesuffix("\n")
    return line if keeps_returns else line.removesuffix("\r")
