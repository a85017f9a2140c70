"""Costs and gains of attention over the last 64 outputs.

python -m benchmarks.attention speed                    training steps, generation and start-up
python -m benchmarks.attention copy [--minutes 10]      lines that repeat themselves
python -m benchmarks.attention loss TEXT... --minutes M [--size medium] [--seeds 1 2]

All compare a network without attention and one with it. ``loss`` validates on the end of the texts.
It trains the plain network for M minutes, the other one for as many steps, and for M minutes.
Nothing else should run at the same time.
"""

import argparse
import json
import random
import statistics
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import charlstm
from benchmarks.timing import processor, seconds_of
from benchmarks.training import SHAPES, charlstm_step
from charlstm.checkpoint.schema import expected_shapes
from charlstm.config import ModelConfig
from charlstm.engine.inference import build_engine

REACH = 64
OPTIONS = {"plain": (), "attention": ("--attention", REACH)}
STEPS, STARTS, TEXTS, CHARACTERS = 60, 15, 7, 4000
ROWS, CALLS = (1, 16, 128), 200
ALPHABET = string.ascii_lowercase + string.digits
LINES, PROMPTS = 20_000, 500


def train(text, folder, *options):
    """Train with the command line, and return its report."""
    command = [sys.executable, "-m", "charlstm", "train", *map(str, [*text, *options]), "-q"]
    done = subprocess.run(
        [*command, "--json", "-o", folder], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


def speed():
    """Print the cost of a step, of a character and of a start, each as a ratio of medians."""
    print(f"attention over {REACH} outputs and none ({processor()})")
    ids = np.random.default_rng(0).integers(1, 65, (48, 33)).astype(np.int32)
    for name in ("2x256", "2x512"):
        shape = SHAPES[name]._replace(streams=48, length=32)
        report(f"training step of 48 x 32 tokens, {name}, seconds", steps_of(shape, ids))
    for precision in ("int8", "float32"):
        for rows in ROWS:
            title = f"step of {rows} rows, 2x512, {precision}, seconds"
            report(title, rows_of(precision, rows))
    with tempfile.TemporaryDirectory() as folder:
        models = {}
        for name, options in OPTIONS.items():
            models[name] = Path(folder) / name
            train(["python-docs"], models[name], "--size", "medium", "--steps", 100, *options)
        report("characters per second of one stream, 2x512", characters_of(models))
        report("first character of generate, seconds", starts_of(models))


def steps_of(shape, ids):
    steps = {"plain": charlstm_step(shape, ids), "attention": charlstm_step(shape, ids, REACH)}
    return alternately(STEPS, {name: (lambda s=step: seconds(s)) for name, step in steps.items()})


def rows_of(precision, rows):
    """Time steps of engines with random weights, each from the state after the step before."""
    measures = {}
    for name, reach in (("plain", 0), ("attention", REACH)):
        config = ModelConfig(vocab_size=65, embedding=128, units=512, layers=2, attention=reach)
        generator = np.random.default_rng(0)
        weights = {
            weight: generator.normal(scale=0.05, size=shape).astype(np.float32)
            for weight, shape in expected_shapes(config).items()
        }
        engine = build_engine(config, weights, precision=precision)
        measures[name] = step_of(engine, rows)
    return alternately(CALLS, measures)


def step_of(engine, rows):
    state, ids = engine.initial_state(rows), np.arange(rows) % engine.vocab_size

    def step():
        nonlocal state
        began = time.perf_counter()
        _, state = engine.step(ids, state)
        return time.perf_counter() - began

    return step


def characters_of(models):
    loaded = {name: charlstm.load(folder) for name, folder in models.items()}

    def rate(model):
        began = time.perf_counter()
        (sample,) = model.generate(length=CHARACTERS, seed=1)
        return len(sample.text) / (time.perf_counter() - began)

    return alternately(TEXTS, {name: (lambda m=m: rate(m)) for name, m in loaded.items()})


def starts_of(models):
    def start(folder):
        return seconds_of("generate", folder, "-n", 200, "--seed", 1, until_output=True)

    return alternately(STARTS, {name: (lambda f=f: start(f)) for name, f in models.items()})


def seconds(work):
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def alternately(rounds, measures):
    """Measure each in turn, ``rounds`` times after one that doesn't count."""
    found = {name: [] for name in measures}
    for number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if number:
                found[name].append(value)
    return found


def report(title, found):
    plain, other = (statistics.median(found[name]) for name in OPTIONS)
    print(f"  {title:45} {plain:9.4g} {other:9.4g}   ratio {other / plain:.3f}", flush=True)


def copy(minutes):
    """Print how often the second half of a line is an exact copy, on unseen first halves."""
    generator, lines = random.Random(1), {}
    while len(lines) < LINES + PROMPTS:
        length = generator.randint(8, 24)
        lines["".join(generator.choice(ALPHABET) for _ in range(length))] = None
    known, unseen = list(lines)[:LINES], list(lines)[LINES:]
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "lines.txt"
        text.write_text("".join(f"{half}|{half}\n" for half in known))
        print(f"exact copies of {PROMPTS} unseen strings, 2 x 256, {minutes:g} minutes")
        for name, options in OPTIONS.items():
            model = Path(folder) / name
            settings = ("--lines", "--size", "small", "--minutes", minutes)
            train([text], model, *settings, *options)
            samples = charlstm.load(model).generate(
                [f"{half}|" for half in unseen], temperature=0, length=40
            )
            pairs = zip(samples, unseen, strict=True)
            right = sum(sample.text.split("\n")[0] == half for sample, half in pairs)
            print(f"  {name:12} {right / PROMPTS:.1%}", flush=True)


def loss(texts, minutes, size, seeds):
    """Print validation losses at equal steps and at equal minutes."""
    print(f"validation loss in nats, {size}, {minutes:g} minutes ({processor()})")
    attention = OPTIONS["attention"]
    for seed in seeds:
        common = ("--size", size, "--seed", seed)
        steps = run(texts, "plain", *common, "--minutes", minutes)
        run(texts, "attention, equal minutes", *common, "--minutes", minutes, *attention)
        run(texts, "attention, equal steps", *common, "--steps", steps, *attention)
        run(texts, "plain, with --steps", *common, "--steps", steps)


def run(texts, name, *options):
    """Train, print the loss, and return the number of steps."""
    with tempfile.TemporaryDirectory() as folder:
        found = train(texts, Path(folder) / "model", *options)
    print(f"  {name:26} {found['valid_loss']:.4f}  {found['steps']:,} steps  {options}", flush=True)
    return found["steps"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["speed", "copy", "loss"])
    parser.add_argument("texts", nargs="*", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--size", default="medium")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    given = parser.parse_args()
    if given.part == "speed":
        speed()
    elif given.part == "copy":
        copy(given.minutes)
    else:
        loss(given.texts, given.minutes, given.size, given.seeds)


if __name__ == "__main__":
    main()
