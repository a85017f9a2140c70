"""The measurements that decide on a recipe: whole commands on fixed texts, without options.

python -m benchmarks.recipe DATA [CASE ...] [--against SOURCE] [--seeds 1 2] [--scale 1]

DATA is a folder with tinyshakespeare.txt, names.txt, wikitext2-valid.txt, wikitext2-test.txt and
novels/*.txt.xz. SOURCE is the source tree of another version. Both versions then run alternately,
seed by seed. Each run is a process with its own empty cache, and its row is printed when it ends.
The share is the time of training steps relative to that of the whole command. ``--scale``
multiplies the minutes, to try things out; cases without a budget then get that many minutes.

Nothing else should run at the same time. The budgets of all cases add up to about 50 minutes per
seed and version, plus final evaluations and the cases without a budget.
"""

import argparse
import json
import lzma
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from benchmarks.timing import processor
from charlstm.system.hardware import product_type

TREE = Path(__file__).resolve().parents[1]
PART = 60_000  # bytes of a short text, and of its validation text
NOVELS = 20_000_000  # bytes of a large text
HELD_OUT = ("Hardy_Tess_1891", "Doyle_Lost_1912", "Woolf_Night_1919")
SHORT = {
    "Audley": "Braddon_Audley_1862",
    "Adam": "Eliot_Adam_1859",
    "Angel": "Trollope_Angel_1881",
}

# Options of ``train`` for settings of another run, which are in config.json.
MODEL_OPTIONS = ("layers", "units", "embedding")
TRAIN_OPTIONS = (
    *("streams", "sequence_length", "optimizer", "learning_rate", "final_rate", "warmup_steps"),
    *("weight_decay", "clip_norm", "dropout", "dropout_ramp"),
)

COLUMNS = (
    *("case", "version", "seed", "network", "steps", "seconds", "budget in minutes", "share"),
    *("peak GiB", "figure"),
)


class Case(NamedTuple):
    """A text, how to train on it, the text to measure the figure on, and the figure's unit."""

    files: tuple
    options: tuple = ()
    minutes: float | None = None
    test: Path | None = None
    unit: str = "nats"


class Run(NamedTuple):
    """The JSON report of a run, its figure, its settings, and its duration in seconds."""

    report: dict
    figure: float
    config: dict
    seconds: float


def halves(data, size):
    """Return the first ``size`` bytes of a text and the next, both cut between characters."""
    cuts = [0]
    for cut in (size, 2 * size):
        while cut < len(data) and data[cut] & 0xC0 == 0x80:  # inside a UTF-8 character
            cut -= 1
        cuts.append(cut)
    return data[: cuts[1]], data[cuts[1] : cuts[2]]


def first_files(paths, limit):
    """Return the first compressed files with at most ``limit`` bytes of text in all."""
    chosen, total = [], 0
    for path in sorted(paths):
        with lzma.open(path) as file:
            total += len(file.read())
        if total > limit:
            break
        chosen.append(path)
    return tuple(chosen)


def short_case(data, scratch, novel, minutes):
    """Write the start of a novel, and the text after it, to separate files."""
    parts = []
    with lzma.open(data / "novels" / f"{novel}.txt.xz") as file:
        text = file.read(2 * PART + 4)
    for kind, part in zip(("train", "valid"), halves(text, PART), strict=True):
        parts.append(scratch / f"{novel}-{kind}.txt")
        parts[-1].write_bytes(part)
    return Case((parts[0],), ("--valid", parts[1]), minutes)


def novels_case(data):
    novels = data / "novels"
    held_out = {novels / f"{name}.txt.xz" for name in HELD_OUT}
    files = first_files(set(novels.glob("*.txt.xz")) - held_out, NOVELS)
    return Case(files, (), 15, novels / f"{HELD_OUT[0]}.txt.xz")


def makers(data, scratch):
    """Return {name of a case: function that makes it}."""
    shakespeare, words = data / "tinyshakespeare.txt", data / "wikitext2-valid.txt"
    cases = {
        f"shakespeare-{minutes}": lambda minutes=minutes: Case((shakespeare,), (), minutes)
        for minutes in (1, 3, 10)
    }
    cases["names-1"] = lambda: Case((data / "names.txt",), ("--lines",), 1)
    for name, novel in SHORT.items():
        for suffix, minutes in (("", None), ("-1", 1)):
            cases[f"short-{name}{suffix}"] = lambda novel=novel, minutes=minutes: short_case(
                data, scratch, novel, minutes
            )
    cases["words-10"] = lambda: Case(
        (words,), ("--level", "word"), 10, data / "wikitext2-test.txt", "perplexity"
    )
    cases["novels-15"] = lambda: novels_case(data)
    cases["precision-3"] = lambda: Case((shakespeare,), (), 3)
    return cases


def charlstm(source, cache, *arguments):
    """Run a command of the version in a source tree; return the JSON object that it prints."""
    # A safe path, because the current folder may contain another version, which would come first.
    places = {"PYTHONPATH": str(source), "PYTHONSAFEPATH": "1", "CHARLSTM_CACHE": str(cache)}
    command = [sys.executable, "-m", "charlstm", *map(str, arguments), "-q", "--json"]
    done = subprocess.run(command, env=os.environ | places, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[2:])}: exit status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])


def run(source, case, budget, seed):
    """Train once and measure; ``budget`` is a tuple of ``train`` options."""
    with tempfile.TemporaryDirectory() as folder:
        cache, model = Path(folder) / "cache", Path(folder) / "model"
        arguments = [*case.files, *case.options, *budget, "--seed", seed, "-o", model]
        begin = time.perf_counter()
        told = charlstm(source, cache, "train", *arguments)
        seconds = time.perf_counter() - begin
        figure = told["valid_loss"]
        if case.test:
            tested = charlstm(source, cache, "evaluate", model, case.test, "--sample", 0)
            figure = math.log(2) * tested["bits_per_character"]
            if case.unit == "perplexity":
                figure = tested["perplexity"]
        config = json.loads((model / "config.json").read_text("utf-8"))
        return Run(told, figure, config, seconds)


def budget_of(case, scale):
    minutes = case.minutes if scale == 1 else scale * (case.minutes or 1)
    return () if minutes is None else ("--minutes", f"{minutes:g}")


def settings_of(done, precision):
    """Return the ``train`` options that repeat a run in another precision, step by step."""
    options = ["--steps", done.report["steps"], "--precision", precision]
    for part, names in (("model", MODEL_OPTIONS), ("train", TRAIN_OPTIONS)):
        for name in names:
            if (value := done.config[part].get(name)) is not None:
                options += [f"--{name.replace('_', '-')}", value]
    return [*options, "--tie" if done.config["model"].get("tied") else "--no-tie"]


def row(*cells):
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def heading(*names):
    row(*names)
    row(*["---"] * len(names))


def print_run(name, version, seed, budget, done, unit):
    """Print the row of a run."""
    report, model = done.report, done.config.get("model", {})
    network = f"{model.get('layers', '?')} x {model.get('units', '?')}"
    share = "?"
    if report.get("tokens") and report.get("tokens_per_second"):
        share = f"{report['tokens'] / report['tokens_per_second'] / done.seconds:.0%}"
    asked = budget[1] if budget and budget[0] == "--minutes" else "none"
    peak = f"{report.get('peak_memory_mb', math.nan) / 1024:.2f}"
    cells = (network, f"{report.get('steps', 0):,}", f"{done.seconds:.1f}", asked, share, peak)
    row(name, version, seed, *cells, f"{done.figure:.4f} {unit}")


def runs_of(name, case, versions, scale, seed):
    """Yield (version, budget, finished run) for one seed."""
    budget = budget_of(case, scale)
    if name != "precision-3":
        for version, source in versions.items():
            yield version, budget, run(source, case, budget, seed)
        return
    half = run(TREE, case, [*budget, "--precision", "bfloat16"], seed)
    yield "bfloat16", budget, half
    budget = settings_of(half, "float32")
    yield "float32", budget, run(TREE, case, budget, seed)


def summarize(figures):
    """Print a row for each case: the mean of each version, and the difference between them."""
    print()
    heading("case", "means", "difference", "in percent")
    for (name, unit), by_version in figures.items():
        means = {version: sum(of) / len(of) for version, of in by_version.items()}
        told = ", ".join(
            f"{version} {mean:.4f} ({len(by_version[version])})" for version, mean in means.items()
        )
        difference = percent = ""
        if len(means) == 2:
            first, last = means.values()
            difference, percent = f"{last - first:+.4f} {unit}", f"{last / first - 1:+.2%}"
        row(name, told, difference, percent)


def name_of(source):
    """Return the commit of a source tree, or its path."""
    command = ["git", "-C", source, "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True)
    return str(source) if done.returncode else done.stdout.strip()


def measure(makers, names, versions, seeds, scale):
    """Run the cases and print their rows; return whether all succeeded."""
    figures, failed = defaultdict(lambda: defaultdict(list)), False
    try:
        for name in names:
            if name == "precision-3" and product_type("auto") != "bfloat16":
                row(name, *[""] * (len(COLUMNS) - 2), "this CPU has no bfloat16 matmuls")
                continue
            case = makers[name]()
            for seed in seeds:
                try:
                    for version, budget, done in runs_of(name, case, versions, scale, seed):
                        print_run(name, version, seed, budget, done, case.unit)
                        figures[name, case.unit][version].append(done.figure)
                except RuntimeError as error:  # the other cases can still be measured
                    failed = True
                    row(name, *[""] * (len(COLUMNS) - 2), error)
    finally:
        summarize(figures)
    return not failed


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe")
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="default: all")
    parser.add_argument("--against", type=Path, metavar="SOURCE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], metavar="SEED")
    parser.add_argument("--scale", type=float, default=1, metavar="X", help="multiply the minutes")
    options = parser.parse_intermixed_args(arguments)
    versions = {"other": options.against and options.against.resolve(), "this": TREE}
    versions = {version: source for version, source in versions.items() if source}
    for source in versions.values():
        if not (source / "charlstm" / "__init__.py").is_file():
            parser.error(f"{source}: no source tree of charlstm")
    with tempfile.TemporaryDirectory() as scratch:
        cases = makers(options.data.resolve(), Path(scratch))
        if unknown := [name for name in options.cases if name not in cases]:
            parser.error(f"{unknown[0]}: no such case. Cases: {', '.join(cases)}")
        told = ", ".join(f"{version}: {name_of(source)}" for version, source in versions.items())
        print(f"recipe, {told} ({processor()})\n")
        heading(*COLUMNS)
        if not measure(cases, options.cases or list(cases), versions, options.seeds, options.scale):
            sys.exit(1)


if __name__ == "__main__":
    main()
