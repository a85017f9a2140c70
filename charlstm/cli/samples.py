"""Prints samples to stdout: streamed, one after another, as JSON Lines, or in color."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from charlstm.cli.output import note, write_json, write_text

if TYPE_CHECKING:
    from charlstm.config import Division
    from charlstm.generation.samples import Sample

# Minimum probability of a token, and its color out of the 256 of a terminal.
COLORS = ((0.5, 34), (0.2, 142), (0.05, 208), (0.0, 196))


class Printer:
    """Prints samples.

    Args:
        separator: the text between samples, as ``separator_of`` returns it.
        echo: whether to print the prompt before the text.
        as_json: whether to print one JSON object for each sample instead of its text.
        show_probs: whether to color tokens by their probability on a terminal.
        hidden: returns how many characters sampled after a prompt repeat its end.

    Attributes:
        colors: whether the output is colored.
        printed: the number of samples so far.
        tokens: the number of tokens in them.
    """

    def __init__(
        self,
        *,
        separator: str,
        echo: bool,
        as_json: bool,
        show_probs: bool,
        hidden: Callable[[str], int],
    ) -> None:
        self._separator = separator
        self._echo = echo
        self._as_json = as_json
        self._hidden = hidden
        self.printed = 0
        self._streams = False
        self._unprinted = ""  # the prompt, until the first piece of a streamed sample
        self.colors = (
            show_probs
            and not as_json
            and sys.stdout.isatty()
            and not os.environ.get("NO_COLOR")  # set and not empty, as no-color.org defines
        )
        self.tokens = 0

    def begin_stream(self, prompt: str) -> None:
        """Prepare to stream one sample in pieces. The prompt is printed with the first."""
        self._streams = True
        self._unprinted = prompt if self._echo else ""

    def stream(self, _index: int, text: str) -> None:
        """Print a piece of the sample as it is generated."""
        write_text(self._unprinted + text)
        self._unprinted = ""

    def print(self, sample: Sample) -> None:
        """Print a sample, or the end of one that was streamed."""
        self.tokens += sample.tokens
        if self._as_json:
            write_json(sample.to_dict())
            self.printed += 1
            return
        prompt = sample.prompt if self._echo else ""
        if self._streams:
            text = self._unprinted
        elif self.colors:
            text = prompt + "".join(_colored(sample, self._hidden(sample.prompt)))
        else:
            text = prompt + sample.text
        before = self._separator if self.printed else ""
        # If samples are separated by line ends, a final line end is a separator already.
        is_ended = self._separator in ("", "\n") and (prompt + sample.text).endswith("\n")
        after = "" if is_ended else "\n"
        write_text(before + text + after)
        self.printed += 1


def separator_of(division: Division) -> str:
    """Return the text between two documents: the delimiter line, a blank line or nothing."""
    if division.delimiter is not None:
        return division.delimiter + "\n"
    return "" if division.are_lines else "\n"


def legend() -> str:
    """Return the meaning of the colors, in colors."""
    parts = [click.style(f"{least:.0%} and more", fg=color) for least, color in COLORS[:-1]]
    return f"Probability: {', '.join(parts)}, {click.style('less', fg=COLORS[-1][1])}"


def _colored(sample: Sample, hidden: int) -> Iterator[str]:
    """Yield the tokens of a sample in color, limited to its text.

    The first ``hidden`` characters repeat the prompt, and the last may go beyond a stop text.
    """
    import math

    left = len(sample.text)
    for token in sample.per_token or ():
        text = token.text[hidden:][:left]
        hidden = max(0, hidden - len(token.text))
        left -= len(text)
        if text:
            probability = math.exp(token.log_probability)
            color = next(color for least, color in COLORS if probability >= least)
            yield click.style(text, fg=color)


class Stopwatch:
    """Measures the speed of generation, starting when it is constructed."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def report(self, tokens: int) -> None:
        """Print tokens, seconds and tokens per second to stderr."""
        seconds = time.monotonic() - self._began
        rate = tokens / max(seconds, 1e-9)
        note(f"{tokens:,} token{'s' * (tokens != 1)} in {seconds:.2f} s, {rate:,.0f} tokens/s")
