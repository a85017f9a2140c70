"""How samples look on stdout: streamed, as texts in order, as JSON Lines, or in colours."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from charlstm.cli.common import note, write_json, write_text

if TYPE_CHECKING:
    from charlstm.generation import Sample

# A symbol of at least this probability has this colour, of the 256 that terminals have.
COLOURS = ((0.5, 34), (0.2, 142), (0.05, 208), (0.0, 196))


class Printer:
    """Prints samples.

    Args:
        lines: whether each sample is a line, so that none is set off by an empty one.
        echo: whether to repeat the prompt before the text.
        as_json: one object a line instead of the text.
        colours: whether the symbols are coloured by their probability.
    """

    def __init__(self, *, lines: bool, echo: bool, as_json: bool, colours: bool) -> None:
        self._separator = "" if lines else "\n"
        self._echo = echo
        self._as_json = as_json
        self._colours = colours and sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._printed = 0
        self._streamed: str | None = None
        self.tokens = 0

    def begin_stream(self, prompt: str) -> None:
        """Print what stands before the text of the one sample that is streamed."""
        self._streamed = prompt if self._echo else ""
        write_text(self._streamed)

    def stream(self, _index: int, text: str) -> None:
        """Print a piece of the sample as it is drawn."""
        self._streamed = text
        write_text(text)

    def print(self, sample: Sample) -> None:
        """Print a sample, or the end of one that was streamed."""
        self.tokens += sample.tokens
        if self._as_json:
            write_json(sample)
            return
        prompt = sample.prompt if self._echo else ""
        whole = prompt + sample.text
        if self._streamed is not None:
            text = ""
        elif self._colours:
            text = prompt + "".join(_coloured(sample))
        else:
            text = whole
        before = self._separator if self._printed else ""
        write_text(before + text + ("" if whole.endswith("\n") else "\n"))
        self._printed += 1


def legend() -> str:
    """Return what the colours mean."""
    parts = [click.style(f"{least:.0%} and more", fg=colour) for least, colour in COLOURS[:-1]]
    return f"probability: {', '.join(parts)}, {click.style('less', fg=COLOURS[-1][1])}"


def _coloured(sample: Sample) -> Iterator[str]:
    """Yield the symbols in their colours, as far as they are part of the text."""
    import math

    left = len(sample.text)
    drawn = "".join(symbol.text for symbol in sample.symbols or ())
    # The first symbols may repeat the end of the prompt; the last may go beyond a stop text.
    hidden = drawn.find(sample.text) if sample.text else 0
    for symbol in sample.symbols or ():
        text = symbol.text[max(0, hidden) :][:left]
        hidden -= len(symbol.text)
        left -= len(text)
        if text:
            probability = math.exp(symbol.log_probability)
            colour = next(colour for least, colour in COLOURS if probability >= least)
            yield click.style(text, fg=colour)


def with_progress(samples: Iterable[Sample], total: int, *, quiet: bool) -> Iterable[Sample]:
    """Show a progress bar where it disturbs nothing: not beside text on the same terminal."""
    if quiet or total < 2 or sys.stdout.isatty() or not sys.stderr.isatty():
        return samples
    from tqdm import tqdm

    bar: Iterable[Sample] = tqdm(samples, total=total, unit="sample", dynamic_ncols=True)
    return bar


class Stopwatch:
    """Tells how fast it was."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def tell(self, tokens: int) -> None:
        """Note tokens, seconds and tokens a second on stderr."""
        seconds = time.monotonic() - self._began
        note(f"{tokens:,} tokens in {seconds:.2f} s, {tokens / max(seconds, 1e-9):,.0f} tokens/s")
