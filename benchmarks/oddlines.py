"""Odd lines in a log: does a model of its first half detect corrupted lines in its second half?

A tenth of the lines in the second half are corrupted in one of three ways: two words are swapped,
each digit is replaced by another one, or the line is replaced by one from another text. The lines
are chosen twenty times. For each way to score a line with one number, the result is the area under
the ROC curve: the probability that an odd line scores higher than a usual one. The interval is that
of the mean over the choices, which share one model; it doesn't cover the variation between models.

The validation text is the last part of the first half, because later lines will differ in the same
way. With randomly chosen lines, training would not notice that it memorizes the days of a log, and
new lines would score as high as odd ones.

python -m benchmarks.oddlines [LOGFILE [OTHER_TEXT [CHARLSTM_TRAIN_OPTION ...]]]

LOGFILE is Debian's package log by default, and OTHER_TEXT is python-docs.
"""

import random
import re
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.quality import train
from benchmarks.timing import processor
from charlstm import load
from charlstm.config import Division
from charlstm.corpus.documents import open_corpus

DEFAULT = "/var/log/dpkg.log"
FEWEST = 2000  # minimum number of lines of a log
NEWEST = 0.15  # share of the first half used for validation
WAYS = ("words swapped", "digits changed", "another text")
DRAWS, SHARE, BAR = 20, 0.1, 0.95
T_975 = 2.093  # 97.5 % quantile of Student's distribution with 19 degrees of freedom

# One number for a line, from the surprisals [T] of its tokens and its end, in nats.
SCORES = {
    "bits per token": lambda costs: costs.mean() / np.log(2),
    "total nats": np.sum,
    "highest surprisal": np.max,
    "mean of the five highest": lambda costs: np.sort(costs)[-5:].mean(),
}


def surprisals(model, lines):
    """Return the surprisals of each line's tokens and its end, float64 [T], in nats."""
    scores = model.score(*lines, per_token=True)
    return [-np.array([token.log_probability for token in score.per_token]) for score in scores]


def swap_words(line, draw):
    words = re.findall(r"\S+", line)
    if len(set(words)) < 2:
        return None
    first, second = draw.choice(
        [(i, j) for i in range(len(words)) for j in range(i) if words[i] != words[j]]
    )
    words[first], words[second] = words[second], words[first]
    return " ".join(words)


def change_digits(line, draw):
    other = {digit: "0123456789".replace(digit, "") for digit in "0123456789"}
    changed = "".join(draw.choice(other[c]) if c in other else c for c in line)
    return None if changed == line else changed


def corrupted(lines, others, seed):
    """Return (index, way, odd line) for a tenth of the lines, without those that can't change."""
    draw, found = random.Random(seed), []
    for index in draw.sample(range(len(lines)), round(SHARE * len(lines))):
        way = draw.choice(WAYS)
        if way == "words swapped":
            odd = swap_words(lines[index], draw)
        elif way == "digits changed":
            odd = change_digits(lines[index], draw)
        else:
            odd = draw.choice(others)
        if odd is not None:
            found.append((index, way, odd))
    return found


def area(odd, usual):
    """Return the probability that an odd score exceeds a usual one; ties count half."""
    usual = np.sort(usual)
    below, not_above = (np.searchsorted(usual, odd, side) for side in ("left", "right"))
    return float((below + not_above).mean() / 2 / len(usual))


def lines_of(address):
    corpus = open_corpus([address], division=Division(unit="line"))
    return [chunk.text for chunk in corpus.chunks() if chunk.text]


def draw_areas(model, lines, others, seed, usual):
    """Return {(score, way or "all"): area} of one choice; ``usual`` are the lines' surprisals."""
    odd = corrupted(lines, others, seed)
    taken = {index for index, _, _ in odd}
    kept = [index for index in range(len(lines)) if index not in taken]
    costs = surprisals(model, [line for _, _, line in odd])
    areas = {}
    for name, score in SCORES.items():
        low = np.array([score(usual[index]) for index in kept])
        high = np.array([score(of_line) for of_line in costs])
        areas[name, "all"] = area(high, low)
        for way in WAYS:
            areas[name, way] = area(high[[of == way for _, of, _ in odd]], low)
    return areas


def main(log=DEFAULT, other="python-docs", *options):
    lines = lines_of(log) if Path(log).is_file() else []
    if len(lines) < FEWEST:
        raise SystemExit(
            f"{log}: only {len(lines):,} lines. Give a log of at least {FEWEST:,} lines, such as "
            f"one in /var/log: python -m benchmarks.oddlines LOGFILE"
        )
    half = len(lines) // 2
    with tempfile.TemporaryDirectory() as folder:
        text, newest = Path(folder) / "first-half.txt", Path(folder) / "newest.txt"
        border, output = half - round(NEWEST * half), Path(folder) / "model"
        text.write_text("".join(line + "\n" for line in lines[:border]), newline="")
        newest.write_text("".join(line + "\n" for line in lines[border:half]), newline="")
        _, seconds = train(text, "--valid", newest, "--lines", *options, output=output)
        model = load(output)
    lines, others = lines[half:], lines_of(other)
    usual = surprisals(model, lines)
    draws = [draw_areas(model, lines, others, seed, usual) for seed in range(DRAWS)]
    network = model.checkpoint.config.model
    print(
        f"{log}, {half:,} lines to train, {len(lines):,} to score; {network.layers} x "
        f"{network.units}, {' '.join(options) or 'no options'}, {seconds:.0f} s ({processor()})\n"
    )
    print(f"| score | area under the curve, 95 % interval | {' | '.join(WAYS)} | bar {BAR} |")
    print("| --- " * (3 + len(WAYS)) + "|")
    for name in SCORES:
        mean, margin = interval([areas[name, "all"] for areas in draws])
        ways = [f"{np.mean([areas[name, way] for areas in draws]):.3f}" for way in WAYS]
        reached = "reached" if mean - margin > BAR else "not reached"
        interval_text = f"{mean:.4f} ({mean - margin:.4f} to {mean + margin:.4f})"
        print(f"| {name} | {interval_text} | {' | '.join(ways)} | {reached} |")


def interval(values):
    """Return the mean and half the width of its 95 % interval."""
    return np.mean(values), T_975 * np.std(values, ddof=1) / np.sqrt(len(values))


if __name__ == "__main__":
    main(*sys.argv[1:])
