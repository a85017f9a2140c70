"""The way from a text to a model and its uses, with an example from the model ``shakespeare``."""

from __future__ import annotations

import textwrap
from typing import Any

from figures.commands import SHAKESPEARE, charlstm, seconds_to_output
from figures.svg import MONO_ADVANCE, WIDTH, Drawing
from figures.themes import Hue, Theme

TEXT = "To be"
PROMPT, SEED, LENGTH = "To be ", 4, 44  # it ends with a sentence
INTERRUPTED = "How now, my l"
SCORED = ("To be, or not to be", "Ot eb, ro ton ot eb")
STARTS = 10  # other work on the machine only slows them, so the fastest is the one to show

# Not in the training text, which is plays.
SONNET = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade
Nor lose possession of that fair thou owest;
Nor shall Death brag thou wander'st in his shade,
When in eternal lines to time thou growest:
So long as men can breathe or eyes can see,
So long lives this and this gives life to thee.
"""

EDGE, INSIDE = 14, 30  # where the bands begin, and the boxes in them
BOX, GAP = 134, 28
HEADER = 50
STAGE_HEIGHT, CHECKPOINT_HEIGHT, ROW_HEIGHT, ROW_GAP = 100, 66, 62, 10
BETWEEN = 30  # bands
ROWS_LEFT = INSIDE + BOX + GAP
EXAMPLES_LEFT = ROWS_LEFT + 108
MONO = 15
COLUMNS = int((WIDTH - INSIDE - 10 - EXAMPLES_LEFT) / (MONO * MONO_ADVANCE))


def measure() -> dict[str, Any]:
    """Return what each stage makes of the example, and how soon a sample begins to appear."""
    import charlstm as library

    model = library.load(SHAKESPEARE)
    (info,) = charlstm("info", SHAKESPEARE)
    asked = ("generate", SHAKESPEARE, "-p", PROMPT, "-n", LENGTH, "--seed", SEED, "-q")
    (sample,) = charlstm(*asked)
    scores = model.score(*SCORED)
    seconds_to_output(*asked)  # the first start compiles and caches what later ones use
    start = min(seconds_to_output(*asked) for _ in range(STARTS))
    figures = model.evaluate(texts=[SONNET])
    return {
        "text": TEXT,
        "ids": model.tokenizer.encode(TEXT).tolist(),
        "streams": info["train"]["streams"],
        "sequence_length": info["train"]["sequence_length"],
        "layers": info["model"]["layers"],
        "units": info["model"]["units"],
        "bytes": sum(path.stat().st_size for path in SHAKESPEARE.iterdir()),
        "start_seconds": round(start, 1),
        "prompt": PROMPT,
        "generated": sample["text"],
        "interrupted": INTERRUPTED,
        "predictions": [
            [word.text, round(word.probability, 4)] for word in model.predict(INTERRUPTED, top=3)
        ],
        "scores": [[round(score.bits_per_character, 4), score.text] for score in scores],
        "evaluated": "Sonnet 18",
        "bits_per_character": round(figures.bits_per_character, 4),
    }


def draw(data: dict[str, Any], theme: Theme) -> str:
    """Return the picture of the stages, with examples as ``measure`` returns them."""
    drawing = Drawing(theme, "From a text to a model and its uses", _description(data))
    bottom = _draw_training(drawing, data, EDGE)
    bottom = _draw_checkpoint(drawing, data, bottom + BETWEEN)
    bottom = _draw_use(drawing, data, bottom + BETWEEN)
    return drawing.finish(bottom + EDGE)


def _draw_training(drawing: Drawing, data: dict[str, Any], top: float) -> float:
    """Draw the stages of training; return where the band ends."""
    theme, hue = drawing.theme, drawing.theme.orange
    height = HEADER + STAGE_HEIGHT + 16
    _draw_band(drawing, hue, top, height, "Train", "needs TensorFlow, takes minutes")
    stages = (
        ("Text", data["text"], "your file"),
        ("Tokenizer", " ".join(map(str, data["ids"])), "token ids"),
        ("Dataset", f"{data['streams']} × {data['sequence_length']} ids", "batch of streams"),
        ("LSTM training", f"{data['layers']} × {data['units']}", "layers × units"),
    )
    top += HEADER
    for index, (name, example, caption) in enumerate(stages):
        left, last = INSIDE + index * (BOX + GAP), index == len(stages) - 1
        fill = hue.strong if last else theme.background
        color = theme.background if last else theme.text
        drawing.rectangle(left, top, BOX, STAGE_HEIGHT, fill=fill, outline=hue.outline, radius=8)
        middle = left + BOX / 2
        drawing.text(middle, top + 30, name, size=16, color=color, anchor="middle", bold=True)
        drawing.mono(middle, top + 59, example, size=MONO, color=color, anchor="middle")
        muted = theme.background if last else theme.muted
        drawing.text(middle, top + 83, caption, size=15, color=muted, anchor="middle")
        if not last:
            y = top + STAGE_HEIGHT / 2
            drawing.arrow([(left + BOX + 4, y), (left + BOX + GAP - 4, y)], color=hue.strong)
    below = top + STAGE_HEIGHT
    drawing.arrow([(middle, below), (middle, below + 16 + BETWEEN - 3)], color=hue.strong)
    return below + 16


def _draw_checkpoint(drawing: Drawing, data: dict[str, Any], top: float) -> float:
    """Draw the box of the checkpoint; return where it ends."""
    theme, blue = drawing.theme, drawing.theme.blue
    width = WIDTH - 2 * EDGE
    drawing.rectangle(
        EDGE, top, width, CHECKPOINT_HEIGHT, fill=theme.background, outline=theme.muted, radius=10
    )
    name, size = "Checkpoint", f"a folder of {data['bytes'] / 1e6:.1f} MB"
    drawing.text(INSIDE, top + 28, name, size=19, bold=True)
    drawing.text(WIDTH - INSIDE, top + 28, size, size=16, color=theme.muted, anchor="end")
    files = "config.json  tokenizer.json  model.safetensors"
    drawing.mono(INSIDE, top + 52, files, size=MONO, color=theme.muted)
    below, x = top + CHECKPOINT_HEIGHT, INSIDE + BOX / 2
    drawing.arrow([(x, below + 2), (x, below + BETWEEN - 3)], color=blue.strong)
    return below


def _draw_use(drawing: Drawing, data: dict[str, Any], top: float) -> float:
    """Draw the engine and the commands that use it; return where the band ends."""
    theme, hue = drawing.theme, drawing.theme.blue
    uses = _uses(data)
    rows = len(uses) * (ROW_HEIGHT + ROW_GAP) - ROW_GAP
    start = f"no TensorFlow, starts in {data['start_seconds']:.1f} s"
    _draw_band(drawing, hue, top, HEADER + rows + 16, "Use", start)
    top += HEADER
    drawing.rectangle(INSIDE, top, BOX, rows, fill=hue.strong, outline=hue.outline, radius=8)
    middle = INSIDE + BOX / 2
    for shift, size, words in (
        (-14, 16, "ONNX engine"),
        (12, 15, "8-bit weights"),
        (34, 15, "on the CPU"),
    ):
        y = top + rows / 2 + shift
        drawing.text(
            middle, y, words, size=size, color=theme.background, anchor="middle", bold=size == 16
        )
    for name, given, lines in uses:
        _draw_command(drawing, top, name, given, lines)
        top += ROW_HEIGHT + ROW_GAP
    return top - ROW_GAP + 16


def _draw_command(drawing: Drawing, top: float, name: str, given: str, lines: list[str]) -> None:
    """Draw a command, the arrow to it, and two lines of example; ``given`` begins them, in bold."""
    theme, hue = drawing.theme, drawing.theme.blue
    y = top + ROW_HEIGHT / 2
    drawing.arrow([(INSIDE + BOX + 4, y), (ROWS_LEFT - 4, y)], color=hue.strong)
    width = WIDTH - INSIDE - ROWS_LEFT
    drawing.rectangle(
        ROWS_LEFT, top, width, ROW_HEIGHT, fill=theme.background, outline=hue.outline, radius=8
    )
    drawing.mono(ROWS_LEFT + 14, y - 5, "charlstm", size=MONO, color=theme.muted)
    drawing.mono(ROWS_LEFT + 14, y + 18, name, size=MONO, color=hue.strong, bold=True)
    drawing.mono(EXAMPLES_LEFT, y - 5, given, size=MONO, bold=True)
    after = EXAMPLES_LEFT + len(given) * MONO * MONO_ADVANCE
    drawing.mono(after, y - 5, lines[0].removeprefix(given), size=MONO)
    drawing.mono(EXAMPLES_LEFT, y + 18, lines[1], size=MONO)


def _draw_band(
    drawing: Drawing, hue: Hue, top: float, height: float, title: str, note: str
) -> None:
    drawing.rectangle(EDGE, top, WIDTH - 2 * EDGE, height, fill=hue.tint, radius=10)
    drawing.text(INSIDE, top + 33, title, size=20, color=hue.strong, bold=True)
    drawing.text(WIDTH - INSIDE, top + 32, note, size=16, color=hue.strong, anchor="end")


def _uses(data: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Return each command, the prompt its example begins with, and the two lines of the example."""
    prompt, interrupted = data["prompt"], data["interrupted"]
    written = textwrap.wrap(prompt + data["generated"], COLUMNS)
    words = "  ".join(f"{text} {share:.0%}" for text, share in data["predictions"])
    scores = [f"{bits:.1f} bits/char  {text}" for bits, text in data["scores"]]
    evaluated = [data["evaluated"], f"{data['bits_per_character']:.2f} bits per character"]
    return [
        ("generate", prompt, [*written, ""][:2]),
        ("predict", interrupted, [f"{interrupted}…", words]),
        ("score", "", scores),
        ("evaluate", "", evaluated),
    ]


def _description(data: dict[str, Any]) -> str:
    ids = " ".join(map(str, data["ids"]))
    uses = "; ".join(f"{name}: {' '.join(lines)}" for name, _, lines in _uses(data))
    return (
        f"Training needs TensorFlow and takes minutes. The tokenizer makes a text such as "
        f"{data['text']!r} the token ids {ids}. The dataset makes batches of {data['streams']} "
        f"streams of {data['sequence_length']} ids. LSTM training makes {data['layers']} layers of "
        f"{data['units']} units of them. The result is a checkpoint, a folder of "
        f"{data['bytes'] / 1e6:.1f} MB. Use needs no TensorFlow and starts in "
        f"{data['start_seconds']:.1f} s: an ONNX engine runs the model for four commands. {uses}."
    )
