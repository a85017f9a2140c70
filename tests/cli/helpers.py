"""Texts, settings of small models, and what several tests of commands do with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import Checkpoint
from charlstm.cli.app import run_command_line
from charlstm.corpus.documents import open_corpus
from charlstm.corpus.split import divide

TEXT = "the quick brown fox jumps over the lazy dog; a lazy dog sleeps.\r\n" * 60
NAMES = "".join(f"{a}{b}{c}\n" for a in "abcdef" for b in "aeiou" for c in ("na", "lo", "mir"))
RECIPES = "====\n".join(
    f"{food} soup\n- {n} {food}s\n\nStir and serve.\n"
    for food in ("turnip", "pumpkin", "leek", "bean")
    for n in range(20)
)
TINY = [
    "--units",
    "16",
    "--layers",
    "1",
    "--embedding",
    "8",
    "--streams",
    "4",
    "--learning-rate",
    "0.02",
]
SHORT = ["--dropout", "0", "--sequence-length", "20", "--steps", "300", "--sample-every", "0"]
# How far a loss may be from that of training, in nats.
ALLOWED = {"float32": 1e-3, "int8": 3e-3}


def train(folder: Path, text: str, *options: str) -> Path:
    """Train a model on a text in a folder; return its checkpoint."""
    corpus = folder / "corpus.txt"
    corpus.write_bytes(text.encode())
    output = folder / "model"
    arguments = ["train", str(corpus), "-o", str(output), "-q", *TINY, *SHORT, *options]
    assert run_command_line(arguments) == 0
    return output


def text_of(lines: list[str]) -> bytes:
    """Return a text of lines, in UTF-8."""
    return "".join(line + "\n" for line in lines).encode()


def objects(result) -> list[dict]:
    """Return the lines of JSON that a command has printed."""
    assert result.status == 0, result.err
    return [json.loads(line) for line in result.out.splitlines()]


def write_validation_text(checkpoint: Path, path: Path) -> Checkpoint:
    """Write the part of the corpus that a model was validated on; return its checkpoint."""
    found = read_checkpoint(checkpoint)
    config, origin = found.config.corpus, found.config.provenance
    parts = divide(
        open_corpus(
            [str(checkpoint.parent / name) for name in config.addresses], division=config.division
        ),
        origin.characters,
        config.valid_fraction,
        seed=config.seed,
        whole_words=found.config.tokenizer.level == "word",
    )
    chunks = [chunk for validates, chunk in parts if validates]
    unit = config.division.unit
    end = {"file": "", "line": "\n", "paragraph": "\n\n"}.get(
        unit, f"\n{config.division.delimiter}\n"
    )
    path.write_bytes("".join(chunk.text + end for chunk in chunks).encode())
    return found


def assert_figures_of_training(found: Checkpoint, score: dict, allowed: float) -> None:
    """Assert that the figures of the validation text are those of training."""
    origin, figures = found.config.provenance, found.figures
    assert score["tokens"] == origin.valid_tokens
    assert score["characters"] == origin.valid_characters
    assert score["loss"] == pytest.approx(figures.valid_loss, abs=allowed)
    bits = figures.valid_bits_per_character
    assert score["bits_per_character"] == pytest.approx(bits, abs=2 * allowed)
    assert score["perplexity"] == pytest.approx(figures.valid_perplexity, rel=0.01)
