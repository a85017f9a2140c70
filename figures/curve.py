"""Training and validation loss of two runs on one short text: one overfits, one does not."""

from __future__ import annotations

import itertools
import json
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from figures.commands import charlstm
from figures.svg import MARGIN, WIDTH, Drawing, Point, width_of
from figures.themes import Hue, Theme

CHARACTERS, EPOCHS = 60_000, 30

LEFT, TOP, RIGHT, BOTTOM = 62.0, 108.0, WIDTH - 140.0, 400.0
LABEL_LINE = 19

# What a line shows, its dashes, and its name.
KINDS = (("train_loss", "2 6", "training"), ("valid_loss", "", "validation"))


def measure() -> dict[str, Any]:
    """Train twice on the beginning of the text that comes with Python; return both histories.

    The runs differ in dropout only. Neither stops early, so that both take the same steps.
    """
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name].strip("\n") for name in sorted(topics))[:CHARACTERS]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "python-docs.txt"
        path.write_text(text, "utf-8")
        return {
            "characters": len(text),
            "default": _run(path, "default"),
            "without": _run(path, "without", "--dropout", 0),
        }


def draw(data: dict[str, Any], theme: Theme) -> str:
    """Return the picture of two runs as ``measure`` returns them."""
    runs = ((data["without"], theme.orange, "no dropout"), (data["default"], theme.blue, "default"))
    drawing = Drawing(theme, "Overfitting, and dropout against it", _description(data))
    chart = Chart([data["without"], data["default"]])
    title = f"{data['characters']:,} characters of text, with and without dropout"
    drawing.text(MARGIN, 40, title, size=20, bold=True)
    subtitle = "Loss in nats per character by step. Circles mark the weights that are saved."
    drawing.text(MARGIN, 67, subtitle, size=16, color=theme.muted)
    _draw_axes(drawing, chart)
    labels, curves = [], []
    for run, hue, name in runs:
        for key, dashes, kind in KINDS:
            chosen = [each for each in run if each[key] is not None]
            points = [chart.place(each["step"], each[key]) for each in chosen]
            drawing.line(points, color=hue.strong, width=2.5, dashes=dashes)
            labels.append((points[-1][1], hue, name, kind))
            curves.append(points)
    for run, hue, _ in runs:
        best = best_of(run)
        place = chart.place(best["step"], best["valid_loss"])
        _draw_best(drawing, place, f"{best['valid_loss']:.2f}", hue, curves)
    _draw_labels(drawing, labels)
    return drawing.finish(BOTTOM + 62)


class Chart:
    """Turns steps and losses into coordinates.

    Attributes:
        steps: the values on the horizontal axis that get a label.
        losses: the same of the vertical axis.
    """

    def __init__(self, runs: Sequence[Sequence[dict[str, float]]]) -> None:
        losses = [
            each[key]
            for run in runs
            for each in run
            for key in ("train_loss", "valid_loss")
            if each[key] is not None
        ]
        last = max(each["step"] for run in runs for each in run)
        self.steps = ticks(0, last, 5)
        self.losses = ticks(min(losses), max(losses), 6)
        self._last = last
        self._low, self._high = self.losses[0], self.losses[-1]

    def place(self, step: float, loss: float) -> Point:
        """Return the coordinates of a loss at a step."""
        across = step / self._last
        up = (loss - self._low) / (self._high - self._low)
        return LEFT + across * (RIGHT - LEFT), BOTTOM - up * (BOTTOM - TOP)


def ticks(low: float, high: float, most: int) -> list[float]:
    """Return round, equally spaced values around a range: at most ``most`` steps between them."""
    high = max(high, low + 1e-9)
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 9) for index in range(first, last + 1)]


def best_of(run: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the evaluation with the lowest validation loss: its weights are the ones saved."""
    return min(run, key=lambda each: each["valid_loss"])


def _run(path: Path, name: str, *options: str | float) -> list[dict[str, float]]:
    """Train and return the figures of each evaluation."""
    folder = path.parent / name
    budget = ("--epochs", EPOCHS, "--patience", 1000, "--sample-every", 0, "--seed", 1)
    charlstm("train", path, "-o", folder, *budget, *options, "-q")
    lines = (folder / "history.jsonl").read_text("utf-8").splitlines()
    return [_figures(json.loads(line)) for line in lines]


def _figures(evaluation: dict[str, Any]) -> dict[str, Any]:
    """Return what the picture needs of an evaluation; the first may have no training loss."""
    chosen = {key: evaluation[key] for key in ("step", "epoch", "train_loss", "valid_loss")}
    return {key: value and round(value, 4) for key, value in chosen.items()}


def _draw_axes(drawing: Drawing, chart: Chart) -> None:
    theme = drawing.theme
    for loss in chart.losses:
        _, y = chart.place(0, loss)
        drawing.line([(LEFT, y), (RIGHT, y)], color=theme.grid)
        label = f"{loss:.1f}"
        drawing.text(LEFT - 10, y + 5, label, size=15, color=theme.muted, anchor="end")
    for step in chart.steps:
        x, y = chart.place(step, chart.losses[0])
        if x > RIGHT + 0.5:
            continue
        drawing.text(x, y + 24, f"{step:,.0f}", size=15, color=theme.muted, anchor="middle")
    drawing.text(
        (LEFT + RIGHT) / 2, BOTTOM + 46, "steps", size=15, color=theme.muted, anchor="middle"
    )


def _draw_best(
    drawing: Drawing, place: Point, loss: str, hue: Hue, curves: list[list[Point]]
) -> None:
    """Mark the best evaluation, with its loss above it where no curve passes."""
    x, y = place
    drawing.circle(x, y, 6, fill=drawing.theme.background, outline=hue.strong)
    half = width_of(loss, 16, bold=True) / 2
    middle = min(x, RIGHT - half)
    baseline = above(curves, middle - half, middle + half, y - 12, height=14)
    drawing.text(middle, baseline, loss, size=16, color=hue.strong, anchor="middle", bold=True)


def above(
    curves: list[list[Point]], left: float, right: float, lowest: float, *, height: float
) -> float:
    """Return the lowest baseline from ``lowest`` up at which no curve crosses a text."""
    passed = [
        at_y + (y - at_y) * share / 20
        for curve in curves
        for (at_x, at_y), (x, y) in itertools.pairwise(curve)
        for share in range(21)
        if left - 3 <= at_x + (x - at_x) * share / 20 <= right + 3
    ]
    baseline = lowest
    while any(baseline - height - 3 < y < baseline + 3 for y in passed):
        baseline -= 1
    return baseline


def _draw_labels(drawing: Drawing, labels: list[tuple[float, Hue, str, str]]) -> None:
    """Write two lines to the right of the end of each curve, moved down where they would meet."""
    lowest = -math.inf
    for y, hue, name, kind in sorted(labels, key=lambda label: label[0]):
        y = max(y, lowest + 2 * LABEL_LINE + 6)
        lowest = y
        drawing.text(RIGHT + 14, y - 2, kind, size=15, color=hue.strong, bold=True)
        drawing.text(RIGHT + 14, y + LABEL_LINE - 2, name, size=15, color=hue.strong)


def _description(data: dict[str, Any]) -> str:
    parts = [
        f"Two training runs on the same {data['characters']:,} characters of text, in nats per "
        f"character. Training loss is that of the network with its dropout."
    ]
    for key, name in (("without", "Without dropout"), ("default", "With the default dropout")):
        best, last = best_of(data[key]), data[key][-1]
        parts.append(
            f"{name}, validation loss is lowest at step {best['step']:,}: "
            f"{best['valid_loss']:.2f}. At the last step, {last['step']:,}, it is "
            f"{last['valid_loss']:.2f} and training loss is {last['train_loss']:.2f}."
        )
    return " ".join(parts)
