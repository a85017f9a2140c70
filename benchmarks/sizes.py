"""The cost of reading a long text: time and memory of ``charlstm train --dry-run``, by level.

python -m benchmarks.sizes TEXT... [--megabytes 10 100 1000 3000] [--levels char subword word]

The text is sampled from a Markov chain over the words of TEXT, so it has as many rare words as a
real text and doesn't repeat itself. The cache is empty. A plan needs the hash of the text, its
vocabulary and all of its tokens on disk. Memory is the process's own, without pages of mapped
files, which the system can drop. Nothing else should run at the same time.
"""

import argparse
import json
import lzma
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.recipe import heading, row
from benchmarks.timing import processor
from charlstm.tokenizer.segmentation import tokens_of

CHAINS = 4096  # texts that are sampled in parallel
STEPS = 256  # words of each text that are written at once


class WordChain:
    """A Markov chain over the words of some texts."""

    def __init__(self, paths):
        numbers, ids = {}, []
        for path in paths:
            opened = lzma.open if path.suffix == ".xz" else open
            with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
                words = tokens_of(file.read(), 2)
                ids.append(np.fromiter((numbers.setdefault(w, len(numbers)) for w in words), int))
        read = np.concatenate(ids)
        self.words = list(numbers)
        order = np.argsort(read[:-1], kind="stable")
        self._following = read[1:][order]
        self._first = np.searchsorted(read[:-1][order], np.arange(len(numbers) + 1))
        # The very last word may have no successor.
        self._first[:-1] = np.minimum(self._first[:-1], len(self._following) - 1)

    def write(self, path, size, rng):
        """Write a text of ``size`` bytes or slightly more."""
        state = rng.integers(len(self._first) - 1, size=CHAINS)
        with path.open("w", encoding="utf-8", newline="") as file:
            while file.tell() < size:
                taken = []
                for _ in range(STEPS):
                    begin = self._first[state]
                    count = np.maximum(1, self._first[state + 1] - begin)
                    state = self._following[begin + (rng.random(CHAINS) * count).astype(int)]
                    taken.append(state)
                ids = np.stack(taken, axis=1).ravel().tolist()
                file.write("".join(map(self.words.__getitem__, ids)))


def measure(level, path, folder):
    """Return the plan for a text, the seconds that it takes, and the peak memory in MB."""
    command = [sys.executable, "-m", "charlstm", "train", path, "--level", level]
    environment = os.environ | {"CHARLSTM_CACHE": str(folder), "CHARLSTM_CACHE_MB": "100000"}
    begin = time.perf_counter()
    with subprocess.Popen(
        [*command, "--dry-run", "-q", "--json"], env=environment, stdout=subprocess.PIPE
    ) as process:
        held = 0
        while not select.select([process.stdout], [], [], 0.1)[0]:
            held = max(held, held_by(process.pid))
        out = process.stdout.read()
    seconds = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit status {process.returncode}")
    return json.loads(out), seconds, held


def held_by(pid):
    """Return the memory of a process in MB, without mapped files."""
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line) / 1024


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes")
    parser.add_argument("texts", type=Path, nargs="+", metavar="TEXT")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[10, 100, 1000, 3000])
    parser.add_argument("--levels", nargs="+", default=["char", "subword", "word"])
    arguments = parser.parse_args(arguments)
    words = WordChain(arguments.texts)
    print(f"sizes, {len(words.words):,} words ({processor()})\n")
    heading("MB", "level", "training tokens", "ids", "seconds", "peak MB")
    for megabytes in arguments.megabytes:
        with tempfile.TemporaryDirectory() as name:
            text = Path(name) / "text.txt"
            words.write(text, megabytes * 10**6, np.random.default_rng(megabytes))
            for level in arguments.levels:
                plan, seconds, held = measure(level, text, Path(name) / level)
                tokens, ids = plan["train_tokens"], plan["model"]["vocab_size"]
                size = f"{text.stat().st_size / 1e6:,.0f}"
                row(size, level, f"{tokens:,}", f"{ids:,}", f"{seconds:.1f}", f"{held:,.0f}")


if __name__ == "__main__":
    main()
