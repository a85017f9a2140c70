"""Compares levels on one text: what models learn in equal minutes, and how fast they are.

python -m benchmarks.levels MINUTES TEST TEXT... [--levels char subword] [--size medium] [--seed 1]

Trains a model of each level for MINUTES on the texts, one after the other. Prints the loss on TEST,
which must not be one of the texts, in nats per character; the characters per second of one sample,
whole command; and the seconds of ``score --whole`` on the first megabyte of TEST. Nothing else
should run at the same time.
"""

import argparse
import json
import lzma
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.recipe import heading, row
from benchmarks.timing import processor

WRITTEN, SCORED, RUNS = 50_000, 1_000_000, 5
COLUMNS = (
    *("level", "network", "ids", "characters per token", "steps", "epochs"),
    *("nats per character", "characters per second", "seconds to score"),
)


def charlstm(*arguments):
    """Run a command; return the last JSON object that it prints, and the seconds that it takes."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "charlstm", *map(str, arguments), "-q", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, encoding="utf-8")
    return json.loads(done.stdout.splitlines()[-1]), time.perf_counter() - begin


def beginning(path, size):
    """Return the first ``size`` characters of a text."""
    opened = lzma.open if path.suffix == ".xz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        return file.read(size)


def writing_rate(model):
    """Return the characters per second of one sample of ``WRITTEN`` tokens, whole process."""
    options = ["-n", WRITTEN, "--min-length", WRITTEN, "--seed", 1]
    runs = [charlstm("generate", model, *options) for _ in range(RUNS + 1)][1:]
    return statistics.median(len(told["text"]) / seconds for told, seconds in runs)


def scoring_seconds(model, text):
    runs = [charlstm("score", model, text, "--whole")[1] for _ in range(RUNS + 1)][1:]
    return statistics.median(runs)


def measure(level, arguments, folder, text):
    """Train a model of one level and print its row."""
    model = folder / level
    options = ["--level", level, "--minutes", arguments.minutes, "--seed", arguments.seed]
    options += ["--size", arguments.size] if arguments.size else []
    told, _ = charlstm("train", *arguments.texts, *options, "-o", model)
    tested, _ = charlstm("evaluate", model, arguments.test, "--sample", 0)
    config = json.loads((model / "config.json").read_text("utf-8"))
    network, origin = config["model"], config["provenance"]
    row(
        level,
        f"{network['layers']} x {network['units']}",
        f"{network['vocab_size']:,}",
        f"{tested['characters'] / tested['tokens']:.2f}",
        f"{told['steps']:,}",
        f"{told['tokens'] / origin['train_tokens']:.2f}",
        f"{math.log(2) * tested['bits_per_character']:.4f}",
        f"{writing_rate(model):,.0f}",
        f"{scoring_seconds(model, text):.2f}",
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.levels")
    parser.add_argument("minutes", type=float, metavar="MINUTES")
    parser.add_argument("test", type=Path, metavar="TEST")
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT")
    parser.add_argument("--levels", nargs="+", default=["char", "subword"])
    parser.add_argument("--size")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(arguments)
    print(f"levels, {arguments.minutes:g} minutes, {arguments.test.name} ({processor()})\n")
    heading(*COLUMNS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        text = folder / "scored.txt"
        text.write_text(beginning(arguments.test, SCORED), "utf-8", newline="")
        for level in arguments.levels:
            measure(level, arguments, folder, text)


if __name__ == "__main__":
    main()
