"""Builds SVG pictures: elements, escaping, and estimates of how wide a text is.

A picture has no scripts and no external resources. Readers see it in their own system fonts, so
widths are estimated for the widest of the common ones, and every character of monospaced text has a
place of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal
from xml.sax.saxutils import escape as escape_markup
from xml.sax.saxutils import quoteattr

from figures.themes import Theme

SANS = "-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'Liberation Mono', monospace"

WIDTH = 680  # of every picture, in units of its viewBox
MARGIN = 20

# Characters that XML 1.0 forbids, even as references.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# Widths in shares of the font size. Those of sans-serif are a little above Segoe UI and Noto Sans.
MONO_ADVANCE = 0.602
_NARROW, _WIDE = frozenset("fijlrtI.,:;'|!()[]·’“” "), frozenset("mwMWQO@%×→—")
_ADVANCES = {"narrow": 0.35, "usual": 0.58, "wide": 0.92}
_BOLD = 1.07

Anchor = Literal["start", "middle", "end"]
Point = tuple[float, float]


def escape(text: str) -> str:
    """Return text as XML character data; characters that XML forbids become U+FFFD."""
    return escape_markup(_FORBIDDEN.sub("\ufffd", text))


def attribute(text: str) -> str:
    """Return text as a quoted XML attribute value."""
    return quoteattr(_FORBIDDEN.sub("\ufffd", text))


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").rstrip(".")  # + 0.0: no minus zero


def width_of(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """Return about how wide a line of text is, in the units of its size."""
    if mono:
        return len(text) * size * MONO_ADVANCE
    kinds = ("narrow" if each in _NARROW else "wide" if each in _WIDE else "usual" for each in text)
    return sum(_ADVANCES[kind] for kind in kinds) * size * (_BOLD if bold else 1)


class Drawing:
    """A picture under construction. Coordinates grow to the right and down.

    Args:
        theme: its colors.
        title: what it shows, in a few words, for screen readers.
        description: the same in sentences, with the facts that a reader would see.
    """

    def __init__(self, theme: Theme, title: str, description: str) -> None:
        self.theme = theme
        self._title = title
        self._description = description
        self._elements: list[str] = []

    def rectangle(
        self,
        left: float,
        top: float,
        width: float,
        height: float,
        *,
        fill: str,
        outline: str | None = None,
        radius: float = 0,
    ) -> None:
        """Add a rectangle; an outline is 1.5 wide."""
        place = _attributes(x=left, y=top, width=width, height=height)
        more = f' rx="{number(radius)}"' if radius else ""
        more += f' stroke="{outline}" stroke-width="1.5"' if outline else ""
        self._elements.append(f'<rect {place} fill="{fill}"{more}/>')

    def text(
        self,
        left: float,
        baseline: float,
        content: str,
        *,
        size: float = 17,
        color: str | None = None,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """Add a line of sans-serif text; ``left`` is its middle or end with such an anchor."""
        more = "" if anchor == "start" else f' text-anchor="{anchor}"'
        more += ' font-weight="600"' if bold else ""
        self._text(_attributes(x=left, y=baseline), size, color, more, content)

    def mono(
        self,
        left: float,
        baseline: float,
        content: str,
        *,
        size: float = 16,
        color: str | None = None,
        anchor: Anchor = "start",
        bold: bool = False,
    ) -> None:
        """Add a line of monospaced text, each character at a place of its own."""
        advance = size * MONO_ADVANCE
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        left -= shift * advance * len(content)
        cells = [left + advance * index for index in range(len(content))]
        for begin, end in _runs(content):
            places = " ".join(number(cell) for cell in cells[begin:end])
            more = ' class="mono"' + (' font-weight="600"' if bold else "")
            place = f'x="{places}" y="{number(baseline)}"'
            self._text(place, size, color, more, content[begin:end])

    def line(
        self, points: Sequence[Point], *, color: str, width: float = 1.5, dashes: str = ""
    ) -> None:
        """Add a line through points."""
        places = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        more = f' stroke-dasharray="{dashes}"' if dashes else ""
        style = f'fill="none" stroke="{color}" stroke-width="{number(width)}"'
        join = 'stroke-linejoin="round" stroke-linecap="round"'
        self._elements.append(f'<polyline points="{places}" {style} {join}{more}/>')

    def arrow(self, points: Sequence[Point], *, color: str) -> None:
        """Add a line that ends in an arrow head; its last part is horizontal or vertical."""
        (before_x, before_y), (x, y) = points[-2:]
        along_x, along_y = _sign(x - before_x), _sign(y - before_y)
        back_x, back_y = x - 8 * along_x, y - 8 * along_y
        self.line([*points[:-1], (back_x, back_y)], color=color, width=2)
        corners = (
            (x, y),
            (back_x - 5 * along_y, back_y - 5 * along_x),
            (back_x + 5 * along_y, back_y + 5 * along_x),
        )
        places = " ".join(f"{number(a)},{number(b)}" for a, b in corners)
        self._elements.append(f'<polygon points="{places}" fill="{color}"/>')

    def circle(self, x: float, y: float, radius: float, *, fill: str, outline: str) -> None:
        """Add a circle; its outline is 2 wide."""
        place = _attributes(cx=x, cy=y, r=radius)
        self._elements.append(
            f'<circle {place} fill="{fill}" stroke="{outline}" stroke-width="2"/>'
        )

    def finish(self, height: float) -> str:
        """Return the picture as an SVG document of this height."""
        theme = self.theme
        background = (
            f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{number(height - 1)}" rx="10" '
            f'fill="{theme.background}" stroke="{theme.outline}"/>'
        )
        return "\n".join(
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {number(height)}" '
                f'width="{WIDTH}" height="{number(height)}" role="img" '
                f'aria-labelledby="title description">',
                f'<title id="title">{escape(self._title)}</title>',
                f'<desc id="description">{escape(self._description)}</desc>',
                f"<style>text {{ font-family: {SANS}; }} .mono {{ font-family: {MONO}; }}</style>",
                background,
                *self._elements,
                "</svg>\n",
            )
        )

    def _text(self, place: str, size: float, color: str | None, more: str, content: str) -> None:
        fill = color or self.theme.text
        self._elements.append(
            f'<text {place} font-size="{number(size)}" fill="{fill}"{more}>{escape(content)}</text>'
        )


def _attributes(**values: float) -> str:
    return " ".join(f'{name}="{number(value)}"' for name, value in values.items())


def _runs(content: str) -> list[tuple[int, int]]:
    """Return where each run of characters that are not blank begins and ends."""
    return [match.span() for match in re.finditer(r"\S+", content)]


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
