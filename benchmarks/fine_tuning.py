"""Compares fine-tuning a model with training from scratch, in the same minutes.

python -m benchmarks.fine_tuning MODEL TEXT... [--lines TEXT...] [--minutes 1 3]

Trains on each text without any other option, with ``--from MODEL`` and without. Prints the
validation loss in nats per character, and what the run says about the model. Texts after
``--lines`` are read line by line; their validation split depends on the seed, 1, which must be the
model's. A second text after a comma is the validation text: a.txt,b.txt. Nothing else should run at
the same time.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.recipe import heading, row
from benchmarks.timing import processor

SAID = {
    "Without --from, the run would learn more": "worse",
    "as much or more": "no better",
    "this run would learn more": "better",
}


def train(text, options, folder):
    """Return the JSON report of a run, and what the run says about fine-tuning."""
    corpus, *valid = text.split(",")
    command = [sys.executable, "-m", "charlstm", "train", corpus, *options, "--json"]
    command += [part for path in valid for part in ("--valid", path)]
    command += ["-o", str(Path(folder) / "model"), "--overwrite", "--sample-every", "0"]
    done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
    said = [meaning for words, meaning in SAID.items() if words in done.stderr]
    return json.loads(done.stdout.splitlines()[-1]), said


def measure(model, text, options, minutes):
    """Print the row for a text and a number of minutes."""
    losses, told, said = [], [], []
    for more in ([], ["--from", model]):
        with tempfile.TemporaryDirectory() as folder:
            budget = ["--minutes", f"{minutes:g}"]
            found, words = train(text, [*options, *budget, *more], folder)
        losses.append(math.log(2) * found["valid_bits_per_character"])
        told.append(f"{found['epochs']:.1f}")
        said += words
    cells = (f"{losses[0]:.3f}", f"{losses[1]:.3f}", f"{losses[1] - losses[0]:+.3f}")
    size = f"{Path(text.split(',')[0]).stat().st_size / 1000:.0f}"
    row(
        Path(text.split(",")[0]).name, size, f"{minutes:g}", *cells, "; ".join(told), *said or ["-"]
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fine_tuning")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("texts", nargs="*", metavar="TEXT")
    parser.add_argument("--lines", nargs="+", default=[], metavar="TEXT")
    parser.add_argument("--minutes", nargs="+", type=float, default=[1, 3])
    options = parser.parse_intermixed_args(arguments)
    print(f"fine-tuning {options.model}, nats per character ({processor()})\n")
    heading("text", "kB", "minutes", "from scratch", "fine-tuned", "", "epochs", "the run says")
    for minutes in options.minutes:
        for text in options.texts:
            measure(options.model, text, [], minutes)
        for text in options.lines:
            measure(options.model, text, ["--lines"], minutes)


if __name__ == "__main__":
    main()
