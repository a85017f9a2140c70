"""The colors of the light and the dark variant of every picture.

Orange marks training and blue marks use. The two differ for people with any form of color
blindness (Okabe and Ito 2008). ``tests/figures`` checks all contrasts against WCAG 2.2, level AA.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hue:
    """One color: for words and lines, for outlines, and for areas behind words."""

    strong: str
    outline: str
    tint: str


@dataclass(frozen=True)
class Theme:
    """The colors of one variant.

    Attributes:
        name: ``light`` or ``dark``, as in the name of the file.
        background: the color behind everything.
        outline: the edge of the picture and of boxes without a hue.
        grid: the lines behind a chart.
        text: words.
        muted: words of less importance.
        orange: training, TensorFlow, overfitting.
        blue: use, ONNX Runtime, the defaults.
        heat: colors of tokens, from probable to improbable, each with the color of its text.
    """

    name: str
    background: str
    outline: str
    grid: str
    text: str
    muted: str
    orange: Hue
    blue: Hue
    heat: tuple[tuple[str, str], ...]


LIGHT = Theme(
    name="light",
    background="#ffffff",
    outline="#d1d9e0",
    grid="#e7ebef",
    text="#1f2328",
    muted="#57606a",
    orange=Hue("#a04a00", "#dd8a3e", "#fff3e6"),
    blue=Hue("#0a5cad", "#6aa5e0", "#edf5fd"),
    heat=(
        ("#fffaec", "#1f2328"),
        ("#fee3a0", "#1f2328"),
        ("#fdbb55", "#1f2328"),
        ("#ea7f35", "#1f2328"),
        ("#9c3203", "#ffffff"),
    ),
)

DARK = Theme(
    name="dark",
    background="#0d1117",
    outline="#3d444d",
    grid="#232a33",
    text="#e6edf3",
    muted="#9da7b3",
    orange=Hue("#ffb066", "#a86a2c", "#271a0e"),
    blue=Hue("#7cbcff", "#3a6ea8", "#0f2033"),
    heat=(
        ("#1d1b19", "#e6edf3"),
        ("#46300f", "#e6edf3"),
        ("#80480a", "#ffffff"),
        ("#dd8427", "#0d1117"),
        ("#ffdda6", "#0d1117"),
    ),
)

THEMES = (LIGHT, DARK)
