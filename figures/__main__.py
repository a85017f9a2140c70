"""Draw the pictures of the docs, from new runs or from stored data.

python -m figures [--redraw] [pipeline] [sample] [curve] [units]

New runs take about three minutes on two cores and replace the data in ``docs/figures``. With
``--redraw``, the pictures are drawn from the data that is there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from figures import curve, pipeline, sample, units
from figures.commands import TREE
from figures.themes import THEMES

FOLDER = TREE / "docs" / "figures"
FIGURES: dict[str, ModuleType] = {
    "pipeline": pipeline,
    "sample": sample,
    "curve": curve,
    "units": units,
}


def make(name: str, folder: Path = FOLDER, *, redraw: bool = False) -> None:
    """Write the data of a picture, unless it is only drawn again, and its two variants."""
    figure, data = FIGURES[name], folder / f"{name}.json"
    if not redraw:
        text = json.dumps(figure.measure(), indent=1, ensure_ascii=False)
        data.write_text(text + "\n", "utf-8")
    stored = json.loads(data.read_text("utf-8"))
    for theme in THEMES:
        path = folder / f"{name}-{theme.name}.svg"
        path.write_text(figure.draw(stored, theme), "utf-8")
        print(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the pictures that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m figures")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--redraw", action="store_true", help="use the stored data")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in FIGURES]:
        parser.error(f"{unknown[0]}: no such picture. Pictures: {', '.join(FIGURES)}.")
    for name in options.names or FIGURES:
        make(name, redraw=options.redraw)


if __name__ == "__main__":
    main()
