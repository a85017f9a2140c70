"""Training and validation loss of runs, as a picture or as text.

Reads the history of checkpoints. Pictures need matplotlib, which is imported only here.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from msgspec import Meta

from charlstm.api.arguments import suggesting
from charlstm.checkpoint.names import find_checkpoint
from charlstm.checkpoint.reader import read_config, read_hashes, read_history
from charlstm.errors import CheckpointMissing, ConfigError, UsageError, harmless
from charlstm.export import check_free
from charlstm.system.files import replaced_atomically
from charlstm.validation import checked, quoted

if TYPE_CHECKING:
    from charlstm.checkpoint.schema import Figures

Axis: TypeAlias = Literal["steps", "epochs", "minutes"]
Unit: TypeAlias = Literal["nats per token", "bits per character"]
_Width = Annotated[int, Meta(ge=40, le=1000)]

FORMATS = (".svg", ".png")

# Okabe and Ito 2008: colors that color-blind people can tell apart, without yellow.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MARKERS = (".", "s", "^", "D")
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))  # of a braille cell, by column
_BRAILLE = 0x2800
_MARGIN = 0.04  # of the range of losses, above and below


@dataclass(frozen=True)
class Curve:
    """The evaluations of a run; losses are in nats per token until ``comparable`` converts them.

    Attributes:
        name: the name of the checkpoint.
        x: when each evaluation was, in the unit of the axis.
        train: the training loss at each, NaN where there is none.
        valid: the validation loss at each, NaN where there is none.
        backward: the validation loss of the backward network at each, NaN where there is none.
        best: the number of the evaluation with the lowest validation loss, ``None`` without one.
        bits: bits per character for one nat per token, ``None`` without a validation loss.
        tokenizer: the hash of the tokenizer.
    """

    name: str
    x: tuple[float, ...]
    train: tuple[float, ...]
    valid: tuple[float, ...]
    backward: tuple[float, ...]
    best: int | None
    bits: float | None
    tokenizer: str


def read_curve(folder: Path, over: Axis = "steps") -> Curve:
    """Return the curve of a checkpoint.

    Raises:
        CheckpointError: if there is no checkpoint, or it has no evaluation yet.
    """
    read_config(folder)
    history = read_history(folder)
    if not history:
        raise CheckpointMissing(f"{folder} has no evaluation yet. Train it for longer.")
    valid = tuple(_number(figures.valid_loss) for figures in history)
    known = [index for index, loss in enumerate(valid) if not math.isnan(loss)]
    return Curve(
        harmless(folder.resolve().name),
        tuple(_position(figures, over) for figures in history),
        tuple(_number(figures.train_loss) for figures in history),
        valid,
        tuple(_number(figures.backward_valid_loss) for figures in history),
        min(known, key=valid.__getitem__) if known else None,
        _bits_per_nat(history[known[-1]]) if known else None,
        read_hashes(folder)["tokenizer.json_sha256"],
    )


def _bits_per_nat(figures: Figures) -> float | None:
    bits, nats = figures.valid_bits_per_character, figures.valid_loss
    return bits / nats if bits and nats else None


def comparable(curves: Sequence[Curve]) -> tuple[Sequence[Curve], Unit]:
    """Return curves in a unit in which they can be compared, and the unit.

    That is nats per token for runs with one tokenizer, otherwise bits per character. A training
    loss is converted as the validation loss of its run is, which is exact if a token has as many
    characters in both texts.

    Raises:
        UsageError: if runs with several tokenizers include one without a validation loss.
    """
    if len({curve.tokenizer for curve in curves}) < 2:
        return curves, "nats per token"
    for curve in curves:
        if curve.bits is None:
            raise UsageError(
                f"{curve.name} has no validation loss, so it can't be compared with a run that has "
                f"another tokenizer. Plot it alone."
            )
    return [_in_bits(curve, curve.bits or 0.0) for curve in curves], "bits per character"


def _in_bits(curve: Curve, bits: float) -> Curve:
    train, valid, backward = (
        tuple(loss * bits for loss in losses)
        for losses in (curve.train, curve.valid, curve.backward)
    )
    return replace(curve, train=train, valid=valid, backward=backward)


def _position(figures: Figures, over: Axis) -> float:
    minutes = figures.seconds / 60
    return {"steps": figures.step, "epochs": figures.epoch, "minutes": minutes}[over]


def _number(loss: float | None) -> float:
    return math.nan if loss is None else loss


def draw_picture(curves: Sequence[Curve], over: Axis, path: Path, suffix: str) -> None:
    """Write comparable curves as an SVG or PNG file; the same curves give the same bytes.

    Args:
        curves: in the order of the legend.
        over: the unit of the axis.
        path: the file to write.
        suffix: ``.svg`` or ``.png``.

    Raises:
        UsageError: if matplotlib is not installed.
    """
    curves, unit = comparable(curves)
    with _matplotlib() as mpl:
        _draw(mpl, curves, unit, over, path, suffix)


@contextlib.contextmanager
def _matplotlib() -> Iterator[Any]:
    """Import matplotlib without leaving its list of fonts in the user's home."""
    with tempfile.TemporaryDirectory(prefix="charlstm-") as folder:
        is_ours = "MPLCONFIGDIR" not in os.environ and "matplotlib" not in sys.modules
        if is_ours:
            os.environ["MPLCONFIGDIR"] = folder
        try:
            import matplotlib as mpl

            yield mpl
        except ImportError as error:
            raise UsageError(
                "a picture needs matplotlib. Install it with pip install 'charlstm[plot]', or "
                "leave `output` out for a plot in the terminal."
            ) from error
        finally:
            if is_ours:
                del os.environ["MPLCONFIGDIR"]


def _draw(
    mpl: Any, curves: Sequence[Curve], unit: Unit, over: Axis, path: Path, suffix: str
) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    settings = {"svg.hashsalt": "charlstm", "svg.fonttype": "none", "font.size": 11}
    with mpl.rc_context(settings), warnings.catch_warnings():
        # A name may have characters that the font lacks. They are boxes in a PNG file.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(8, 4.5), layout="constrained")
        axes = figure.subplots()
        for number, curve in enumerate(curves):
            _draw_curve(axes, curve, number)
        axes.set(xlabel=over, ylabel=f"loss, {unit}")
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=over == "steps"))
        if over == "steps":
            axes.xaxis.set_major_formatter("{x:,.0f}")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        is_single = any(len(curve.x) == 1 for curve in curves)
        title = f"validation loss; {'dashed or x' if is_single else 'dashed'}: training loss"
        axes.legend(frameon=False, title=title, alignment="left")
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        figure.savefig(path, format=suffix[1:], dpi=150, metadata=metadata)


def _draw_curve(axes: Any, curve: Curve, number: int) -> None:
    """Draw both losses of a run, with its name and its best loss for the legend."""
    color = _COLORS[number % len(_COLORS)]
    # The colors repeat after the seventh run, so the points change.
    marker = _MARKERS[number // len(_COLORS) % len(_MARKERS)]
    marker = marker if len(curve.x) < 40 or marker != "." else ""
    label = _shown(curve.name)
    style = {"color": color, "linestyle": "--", "linewidth": 1, "clip_on": False}
    style["marker"] = "x" if len(curve.x) == 1 else ""
    if curve.best is None:
        axes.plot(curve.x, curve.train, **style, label=label)
        return
    best = curve.x[curve.best], curve.valid[curve.best]
    label = f"{label}, best {best[1]:.3f}"
    axes.plot(curve.x, curve.valid, color=color, marker=marker, label=label, clip_on=False)
    axes.plot(curve.x, curve.train, **style)
    axes.plot(*best, color=color, marker="o", markersize=9, fillstyle="none", clip_on=False)


def _shown(name: str) -> str:
    """Return a name as a legend shows it: matplotlib skips a leading "_" and reads "$" as math."""
    escaped = name.replace("$", r"\$")
    return f" {escaped}" if escaped.startswith("_") else escaped


def draw_text(curves: Sequence[Curve], over: Axis, width: int = 80, height: int = 20) -> str:
    """Return curves as lines of text, drawn with braille dots.

    Validation losses are solid lines, training losses dotted ones. A single loss is a circle, full
    for validation. If there are several runs, each has a letter at its last point.

    Args:
        curves: in the order of the legend.
        over: the unit of the axis.
        width: characters in a line, at least 20.
        height: lines of the plot, besides the axis and the legend.
    """
    curves, unit = comparable(curves)
    losses = [y for curve in curves for y in (*curve.train, *curve.valid) if not math.isnan(y)]
    low, high = (min(losses), max(losses)) if losses else (0.0, 1.0)
    spread = (high - low) * _MARGIN or 0.5
    low, high = max(low - spread, 0.0), high + spread
    last = max(max(curve.x) for curve in curves) or 1.0
    labels = [f"{high - (high - low) * row / (height - 1):.3f}" for row in range(height)]
    gutter = max(map(len, labels))
    canvas = _Canvas(max(10, width - gutter - 2), height)

    def place(x: float, y: float) -> tuple[float, float]:
        return x / last * (canvas.columns - 1), (high - y) / (high - low) * (canvas.rows - 1)

    letters = [chr(ord("A") + number % 26) for number in range(len(curves))]
    for number, curve in enumerate(curves):
        for values, every in ((curve.valid, 1), (curve.train, 2)):
            points = [
                place(x, y) for x, y in zip(curve.x, values, strict=True) if not math.isnan(y)
            ]
            canvas.line(points, every)
            if len(points) == 1:  # one dot is easy to miss
                canvas.mark(points[0], "●" if every == 1 else "○")
            if len(curves) > 1 and every == 1 and points:
                canvas.mark(points[-1], letters[number])
    lines = [
        f"{labels[row] if row % 4 == 0 else '':>{gutter}} ┤{line}".rstrip()
        for row, line in enumerate(canvas.lines())
    ]
    end = f"{last:,.0f} {over}" if over == "steps" else f"{last:,.1f} {over}"
    ends = f"{end:>{canvas.width}}"
    if ends.startswith("  "):
        ends = f"0{ends[1:]}"
    lines.append(f"{'':>{gutter}} └{'─' * canvas.width}")
    lines.append(f"{'':>{gutter}}  {ends}")
    legend = [_legend(curve, unit) for curve in curves]
    if len(curves) > 1:
        legend = [f"{letter} {line}" for letter, line in zip(letters, legend, strict=True)]
    wrapped = (
        textwrap.wrap(line, width, subsequent_indent="  ", break_long_words=False)
        for line in legend
    )
    return "\n".join([*lines, "", *itertools.chain.from_iterable(wrapped)]) + "\n"


def _legend(curve: Curve, unit: Unit) -> str:
    if curve.best is None:
        return f"{curve.name}: training loss {curve.train[-1]:.4f} {unit} at the end"
    trained = curve.train[curve.best]
    beside = "" if math.isnan(trained) else f" (training loss {trained:.4f})"
    last = next(loss for loss in reversed(curve.valid) if not math.isnan(loss))
    return (
        f"{curve.name}: best validation loss {curve.valid[curve.best]:.4f} {unit}{beside}, "
        f"last {last:.4f}"
    )


class _Canvas:
    """A raster of braille characters, each two dots wide and four high."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.columns, self.rows = width, 2 * width, 4 * height
        self._cells = [[0] * width for _ in range(height)]
        self._letters: dict[tuple[int, int], str] = {}

    def line(self, points: Sequence[tuple[float, float]], every: int) -> None:
        """Draw a line through points; ``every`` is the distance of its dots."""
        for (x, y), (x2, y2) in zip(points, points[1:] or points, strict=False):
            steps = max(1, math.ceil(max(abs(x2 - x), abs(y2 - y))))
            for step in range(0, steps + 1, every):
                share = step / steps
                self._dot(round(x + (x2 - x) * share), round(y + (y2 - y) * share))

    def mark(self, point: tuple[float, float], letter: str) -> None:
        """Put a letter in the place of the cell of a point."""
        self._letters[round(point[1]) // 4, round(point[0]) // 2] = letter

    def _dot(self, column: int, row: int) -> None:
        self._cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]

    def lines(self) -> list[str]:
        """Return the lines of text."""
        return [
            "".join(
                self._letters.get((number, column), chr(_BRAILLE + cell))
                for column, cell in enumerate(row)
            )
            for number, row in enumerate(self._cells)
        ]


@suggesting()
def plot(
    checkpoints: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    *,
    over: Axis = "steps",
    overwrite: bool = False,
    width: int = 80,
) -> str:
    """Plot the training and validation loss of one or more runs, as ``charlstm plot`` does.

        >>> print(charlstm.plot("checkpoints/names"))
        >>> charlstm.plot(["checkpoints/a", "checkpoints/b"], "loss.svg", over="minutes")

    Args:
        checkpoints: the folder or name of a checkpoint, or several.
        output: a picture to write, ``.svg`` or ``.png``, which needs matplotlib. ``None`` returns a
            plot of text characters.
        over: the unit of the horizontal axis: ``"steps"``, ``"epochs"`` or ``"minutes"``.
        overwrite: whether to replace ``output`` if it exists.
        width: the width of the plot of text characters.

    Returns:
        The plot as text, or the path of the picture.

    Raises:
        ConfigError: if an argument is out of range.
        CheckpointError: if a checkpoint can't be read, has no evaluation, or ``output`` exists.
        UsageError: if the runs can't be compared, or matplotlib is not installed.
        StorageError: if the picture can't be written.
    """
    over = checked("over", over, Axis)
    given: Any = checkpoints
    names = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for name in [*names, "" if output is None else output]:
        if not isinstance(name, str | os.PathLike):
            raise ConfigError(f"{quoted(name)} is not a path: expected a checkpoint or a file.")
    curves = [read_curve(find_checkpoint(name), over) for name in names]
    if not curves:
        raise ConfigError("`checkpoints` is empty: expected one checkpoint or more.")
    if output is None:
        return draw_text(curves, over, checked("width", width, _Width))
    path = Path(output)
    write_picture(curves, over, path, overwrite=overwrite)
    return str(path)


def write_picture(curves: Sequence[Curve], over: Axis, path: Path, *, overwrite: bool) -> None:
    """Write curves as a picture, whole or not at all.

    Raises:
        CheckpointExists: if the file exists and ``overwrite`` is false.
        UsageError: if the name does not end in ``.svg`` or ``.png``, or matplotlib is missing.
        StorageError: if the file can't be written.
    """
    check_picture(path, overwrite=overwrite)
    with replaced_atomically(path) as temporary:
        draw_picture(curves, over, temporary, path.suffix.lower())


def check_picture(path: Path, *, overwrite: bool) -> None:
    """Check that a picture may be written.

    Raises:
        CheckpointExists: if the file exists and ``overwrite`` is false.
        UsageError: if the name does not end in ``.svg`` or ``.png``.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"`output` is '{path}': expected a name that ends in .svg or .png.")
    check_free(path, overwrite)
