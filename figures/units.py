"""What three units of the shipped model ``shakespeare`` follow, as text colored by cell state.

The units are among those that the page of ``charlstm look shakespeare`` ranks first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import charlstm
from figures.commands import SHAKESPEARE
from figures.svg import MARGIN, MONO_ADVANCE, WIDTH, Drawing
from figures.themes import Hue, Theme

TEXT = """\
ROMEO:
But, soft! what light through yonder window breaks?
It is the east, and Juliet is the sun.

JULIET:
O Romeo, Romeo! wherefore art thou Romeo?
"""
# Layer (from 1), unit, what it follows.
UNITS = (
    (2, 404, "the name of a speaker"),
    (1, 192, "the position in the line"),
    (2, 46, "words in capitals"),
)

SIZE, LINE = 18, 25
ADVANCE = SIZE * MONO_ADVANCE
FAINT, STRONG = 0.15, 0.6  # of tanh(cell state): below the first, no color


def measure() -> dict[str, Any]:
    """Return tanh of the cell state of each unit after each character, and its correlation."""
    model = charlstm.load(SHAKESPEARE)
    state = model.engine.initial_state(1)
    states = []
    for token_id in model.tokenizer.encode_beginning(TEXT).tolist():
        _, state = model.engine.step(np.array([token_id]), state)
        states.append(np.tanh(state.cells[:, 0]))  # [layers, units]
    after = np.stack(states[1:])  # the first is the state before the text
    units = []
    for layer, unit, follows in UNITS:
        values = after[:, layer - 1, unit]
        correlation = float(np.corrcoef(values, FEATURES[follows](TEXT))[0, 1])
        units.append(
            {
                "layer": layer,
                "unit": unit,
                "follows": follows,
                "correlation": round(correlation, 2),
                "values": [round(float(value), 2) for value in values],
            }
        )
    return {"text": TEXT, "units": units}


def _in_a_name(text: str) -> list[float]:
    lines = text.splitlines(keepends=True)
    return [float(line.rstrip().endswith(":")) for line in lines for _ in line]


def _column(text: str) -> list[float]:
    return [float(column) for line in text.splitlines(keepends=True) for column in range(len(line))]


def _in_capitals(text: str) -> list[float]:
    words = re.findall(r"\w+|\W", text)
    return [float(len(word) > 1 and word.isupper()) for word in words for _ in word]


FEATURES: dict[str, Callable[[str], list[float]]] = {
    "the name of a speaker": _in_a_name,
    "the position in the line": _column,
    "words in capitals": _in_capitals,
}


def draw(data: dict[str, Any], theme: Theme) -> str:
    """Return the picture of units as ``measure`` returns them."""
    lines = data["text"].splitlines()
    shown = "; ".join(
        f"unit {each['unit']} of layer {each['layer']} follows {each['follows']}, with a "
        f"correlation of {each['correlation']}"
        for each in data["units"]
    )
    title = "What three units of the model shakespeare follow"
    drawing = Drawing(theme, title, f"The text {data['text']!r}, colored by cell state: {shown}.")
    top = 14.0
    for each in data["units"]:
        heading = f"Layer {each['layer']}, unit {each['unit']}: {each['follows']}"
        drawing.text(MARGIN, top + 20, heading, bold=True)
        sign = "−" if each["correlation"] < 0 else ""
        correlation = f"correlation {sign}{abs(each['correlation']):.2f}"
        right = WIDTH - MARGIN
        drawing.text(right, top + 20, correlation, size=15, color=theme.muted, anchor="end")
        top += 30
        start = 0
        for line in lines:
            _draw_line(drawing, line, each["values"][start : start + len(line)], top)
            start += len(line) + 1
            top += LINE if line else LINE / 2
        top += 14
    return drawing.finish(top)


def level(value: float) -> int:
    """Return the class of a value: 0 for none, 1 for weak, 2 for strong, with its sign."""
    size = abs(value)
    if size < FAINT:
        return 0
    return int(math.copysign(1 if size < STRONG else 2, value))


def _draw_line(drawing: Drawing, line: str, values: Sequence[float], top: float) -> None:
    """Draw runs of characters with the same color."""
    levels = [level(value) for value in values]
    changes = [0, *(i for i in range(1, len(line)) if levels[i] != levels[i - 1]), len(line)]
    for begin, end in pairwise(changes):
        if begin == end:
            continue
        left = MARGIN + ADVANCE * begin
        fill, color = _colors(drawing.theme, levels[begin])
        if fill:
            drawing.rectangle(left, top, ADVANCE * (end - begin), LINE - 3, fill=fill, radius=2)
        drawing.mono(left, top + 17, line[begin:end], size=SIZE, color=color)


def _colors(theme: Theme, found: int) -> tuple[str | None, str]:
    """Return the colors behind and of a text: blue for positive values, orange for negative."""
    if not found:
        return None, theme.text
    hue: Hue = theme.blue if found > 0 else theme.orange
    fill = hue.strong if abs(found) == 2 else hue.tint
    return fill, theme.background if abs(found) == 2 else theme.text
