"""Trains the models that ship with charlstm, and writes them with model cards to ``checkpoints/``.

python -m benchmarks.models DATA [english] [shakespeare]

DATA is a folder with tinyshakespeare.txt and novels/*.txt.xz. Training takes about two hours on two
cores, in ``build/models``. After an interruption, run it again to continue. A finished model is
stored in 8 bits, and its card gets figures on novels that it was not trained on.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.recipe import HELD_OUT

TREE = Path(__file__).resolve().parents[1]
FOLDER, BUILD = TREE / "checkpoints", TREE / "build" / "models"

# Descriptions of the texts, for readers who have only the model.
NOVELS = (
    "English novels from 1839 to 1929 by authors who died before 1955, in the public domain. They "
    "are part of a collection made for the study of style. Each starts with author and title."
)
PLAYS = (
    "Scenes from the plays of William Shakespeare, in the public domain: the file that char-rnn "
    "and nanoGPT publish figures for. The model is validated on its last tenth."
)


class Model(NamedTuple):
    """A model that ships: its text, the ``train`` options, and the card's description of the text.

    ``held_out`` are further texts to measure it on, besides the validation text.
    """

    text: tuple
    options: tuple
    description: str
    held_out: tuple = ()


def models(data):
    """Return the models by name."""
    novels = sorted((data / "novels").glob("*.txt.xz"))
    held_out = [path for path in novels if path.name.split(".")[0] in HELD_OUT]
    return {
        "english": Model(
            tuple(path for path in novels if path not in held_out),
            ("--level", "subword", "--size", "medium", "--minutes", "90"),
            NOVELS,
            tuple(held_out),
        ),
        "shakespeare": Model(
            (data / "tinyshakespeare.txt",), ("--size", "medium", "--minutes", "20"), PLAYS
        ),
    }


def charlstm(*arguments, **options):
    command = [sys.executable, "-m", "charlstm", *map(str, arguments)]
    return subprocess.run(command, check=True, encoding="utf-8", **options)


def train(name, model):
    """Train a model, or continue its training; return its folder."""
    folder = BUILD / name
    if (folder / "resume.safetensors").exists():
        charlstm("train", "--resume", folder)
    elif not (folder / "model.safetensors").exists():
        charlstm("train", *model.text, *model.options, "-o", folder, "--overwrite")
    return folder


def nats_per_character(checkpoint, text):
    """Return the loss on a text, and the number of its characters."""
    asked = ("evaluate", checkpoint, text, "--sample", 0, "-q", "--json")
    told = json.loads(charlstm(*asked, stdout=subprocess.PIPE).stdout)
    return math.log(2) * told["bits_per_character"], told["characters"]


def sections(name, model, checkpoint):
    """Yield the lines of the card that ``charlstm info --markdown`` can't know."""
    if model.held_out:
        yield from ("", "## Novels it was not trained on", "")
        yield "| novel | characters | nats | bits |"
        yield "| --- | --- | --- | --- |"
        for text in model.held_out:
            nats, characters = nats_per_character(checkpoint, text)
            novel = text.name.split(".")[0].replace("_", " ")
            yield f"| {novel} | {characters:,} | {nats:.4f} | {nats / math.log(2):.4f} |"
        yield from ("", "Nats and bits per character, with the 8-bit weights.")
    yield from ("", "## Data and license", "", model.description, "")
    yield "The model has the license of charlstm (MIT)."
    yield from ("", "## How it was made", "", "In a clone of charlstm:", "", "```sh")
    yield from (f"make models DATA=FOLDER NAMES={name}", "```", "", "Except for names, this runs:")
    yield from ("", "```sh", f"charlstm train TEXT {' '.join(model.options)} -o large")
    yield from (f"charlstm export large --format checkpoint -o {name}", "```")


def ship(name, model, trained):
    """Store a model in 8 bits, and write its card."""
    checkpoint = FOLDER / name
    options = ("--format", "checkpoint", "-o", checkpoint, "--overwrite", "-q")
    charlstm("export", trained, *options)
    card = charlstm("info", checkpoint, "--markdown", stdout=subprocess.PIPE).stdout
    text = card + "\n".join(sections(name, model, checkpoint)) + "\n"
    (checkpoint / "README.md").write_text(text, "utf-8")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("names", nargs="*", metavar="NAME", help="model to train; default: both")
    options = parser.parse_args(arguments)
    known = models(options.data.resolve())
    if unknown := [name for name in options.names if name not in known]:
        parser.error(f"{unknown[0]}: no such model. Models: {', '.join(known)}")
    names = options.names or list(known)
    for name in names:
        if missing := [path for path in known[name].text if not path.exists()]:
            parser.error(f"{missing[0]}: no such file")
        if not known[name].text:
            parser.error(f"{options.data}: no novels in this folder")
    for name in names:
        ship(name, known[name], train(name, known[name]))


if __name__ == "__main__":
    main()
