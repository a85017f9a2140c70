"""Helpers of the harnesses: a text to train on, and reading a checkpoint's folder."""

from __future__ import annotations

import json
import random
from pathlib import Path

from safetensors import safe_open

from charlstm.checkpoint import reader, schema
from charlstm.checkpoint import resume as resume_module
from tests.reliability import dying


def text(lines: int = 2000, seed: int = 7) -> str:
    """Return a text of made-up words, some frequent and some rare, that depends on the seed."""
    draw = random.Random(seed)
    syllables = [a + b for a in "bcdfgklmnprst" for b in "aeiou"]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 3))) for _ in range(300)]
    weights = [1 / (rank + 1) for rank in range(len(words))]
    drawn = (draw.choices(words, weights, k=draw.randint(4, 12)) for _ in range(lines))
    return "".join(" ".join(line).capitalize() + ".\n" for line in drawn)


def step_on_disk(folder: Path) -> int | None:
    """Return the step from which a resumed run would continue; ``None`` if nothing is saved."""
    path = folder / schema.RESUME
    if not path.exists():
        return None
    with safe_open(path, "numpy") as file:
        return int(json.loads(file.metadata()["progress"])["step"])


def check_sound(folder: Path) -> None:
    """Read everything in a folder, as the product would.

    Raises:
        CheckpointError: if any of it is damaged.
    """
    if not (folder / schema.CONFIG).exists():
        return
    reader.read_config(folder)
    reader.read_tokenizer(folder)
    reader.read_history(folder)
    resume = folder / schema.RESUME
    if resume.exists():
        with safe_open(resume, "numpy") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        resume_module.read_resume(folder, shapes)
    if (folder / schema.MODEL).exists():
        reader.read_checkpoint(folder)


def leftovers(folder: Path) -> list[str]:
    """Return the files that were being written when the process died."""
    return sorted({dying.label(str(path)) for path in folder.glob(".*.tmp")})
