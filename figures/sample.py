"""A sample of the shipped model ``shakespeare``, with each token colored by its probability."""

from __future__ import annotations

import math
import shlex
from typing import Any, NamedTuple

from figures.commands import SHAKESPEARE, charlstm
from figures.svg import MARGIN, MONO_ADVANCE, WIDTH, Drawing, width_of
from figures.themes import Theme

PROMPT, SEED, LENGTH = "ROMEO:", 2, 284  # it ends with a sentence

# The lower bounds of the classes of probability. ``generate --show-probs`` has all but the first.
BOUNDS = (0.9, 0.5, 0.2, 0.05, 0.0)
LABELS = ("90% or more", "50 to 90%", "20 to 50%", "5 to 20%", "under 5%")

SIZE, LINE, MOST_LINES = 18, 27, 14
ADVANCE = SIZE * MONO_ADVANCE
COLUMNS = int((WIDTH - 2 * MARGIN) / ADVANCE)
LINE_END = "↵"


class Cell(NamedTuple):
    """A character in the picture; ``heat`` is the class of its token, None in the prompt."""

    text: str
    heat: int | None
    token: int


def measure() -> dict[str, Any]:
    """Return a sample: its command, prompt, and tokens with their probabilities."""
    options = ("-p", PROMPT, "--seed", SEED, "-n", LENGTH, "--show-probs")
    (sample,) = charlstm("generate", SHAKESPEARE, *options, "-q")
    return {
        "command": " ".join(
            ("charlstm generate shakespeare", *map(shlex.quote, map(str, options)))
        ),
        "prompt": PROMPT,
        "tokens": [
            [each["text"], round(math.exp(each["log_probability"]), 4)]
            for each in sample["per_token"]
        ],
    }


def draw(data: dict[str, Any], theme: Theme) -> str:
    """Return the picture of a sample as ``measure`` returns it."""
    lines = lay_out(data["prompt"], data["tokens"])
    drawing = Drawing(theme, "A sample of the model shakespeare", _description(data, lines))
    drawing.mono(MARGIN, 38, f"$ {data['command']}", size=15, color=theme.muted)
    top = 58
    for index, line in enumerate(lines):
        _draw_line(drawing, line, top + LINE * index)
    bottom = top + LINE * len(lines)
    _draw_legend(drawing, bottom + 18)
    return drawing.finish(bottom + 92)


def heat_of(probability: float) -> int:
    """Return the class of a probability, an index of ``BOUNDS``."""
    return next(index for index, bound in enumerate(BOUNDS) if probability >= bound)


def lay_out(prompt: str, tokens: list[list[Any]]) -> list[list[Cell]]:
    """Divide a prompt and tokens into lines of at most ``COLUMNS`` cells.

    A line ends with the mark of a line end, or after the last blank that fits. What does not fit
    ``MOST_LINES`` is left out.
    """
    cells = [Cell(each, None, -1) for each in prompt]
    for number, (text, probability) in enumerate(tokens):
        cells += [Cell(each, heat_of(probability), number) for each in text]
    lines: list[list[Cell]] = [[]]
    for cell in cells:
        if len(lines[-1]) == COLUMNS:
            kept = _words_end(lines[-1])
            lines.append(lines[-1][kept:])
            del lines[-2][kept:]
        lines[-1].append(cell._replace(text=LINE_END) if cell.text == "\n" else cell)
        if cell.text == "\n":
            lines.append([])
    return [line for line in lines if line][:MOST_LINES]


def _words_end(line: list[Cell]) -> int:
    """Return how many cells of a full line stay in it: those up to its last blank, or all."""
    return next((place for place in range(len(line), 0, -1) if line[place - 1].text == " "), 0) or (
        len(line)
    )


def _draw_line(drawing: Drawing, line: list[Cell], top: float) -> None:
    """Draw the areas of a line's tokens, then its characters by color."""
    theme = drawing.theme
    begin = 0
    for end in range(1, len(line) + 1):
        if end < len(line) and line[end].token == line[begin].token:
            continue
        heat, left = line[begin].heat, MARGIN + ADVANCE * begin
        text = "".join(cell.text for cell in line[begin:end])
        if heat is None:
            drawing.mono(left, top + 19, text, size=SIZE, bold=True)
        else:
            fill, color = theme.heat[heat]
            width = ADVANCE * (end - begin) - 1
            drawing.rectangle(left + 0.5, top, width, LINE - 3, fill=fill, radius=2)
            drawing.mono(left, top + 19, text, size=SIZE, color=color)
        begin = end


def _draw_legend(drawing: Drawing, top: float) -> None:
    """Draw the classes of probability, from probable to improbable."""
    theme = drawing.theme
    title = "Probability of each character when it was chosen"
    drawing.text(MARGIN, top + 12, title, size=15, color=theme.muted)
    gap, height = 4, 28
    width = (WIDTH - 2 * MARGIN - gap * (len(LABELS) - 1)) / len(LABELS)
    for index, (label, (fill, color)) in enumerate(zip(LABELS, theme.heat, strict=True)):
        left = MARGIN + index * (width + gap)
        assert width_of(label, 15) < width
        drawing.rectangle(left, top + 24, width, height, fill=fill, radius=4)
        middle = left + width / 2
        drawing.text(middle, top + 43, label, size=15, color=color, anchor="middle")


def _description(data: dict[str, Any], lines: list[list[Cell]]) -> str:
    shown = "".join(cell.text for line in lines for cell in line).replace(LINE_END, "\n")
    known = [cell.heat for line in lines for cell in line if cell.heat is not None]
    shares = (
        f"{known.count(index) / len(known):.0%} have a probability of {label}"
        for index, label in enumerate(LABELS)
        if known
    )
    return (
        f"The command {data['command']} and the text it prints. The background of each character "
        f"shows how probable the model found it: {', '.join(shares)}. The text: {shown}"
    )
