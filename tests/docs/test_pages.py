"""Runs every page: commands, scripts and Python, with small budgets and made-up texts.

What a command prints depends on the machine, so its shape is compared with what the page shows:
the labels of tables, the form of evaluations, the keys of JSON, the number of lines, the prompt.
Three dots on a line of their own stand for lines that the page leaves out.
"""

import json
import os
import random
import re
import shlex
import shutil
import warnings
from typing import NamedTuple

import msgspec
import pytest

from charlstm.checkpoint.schema import Checkpoint
from charlstm.cli.app import run_command_line
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.corpus.catalog import find_entry
from charlstm.errors import CharlstmWarning
from charlstm.export import describe
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, settings
from tests.docs.pages import PAGES, blocks_of, commands_of
from tests.processes import in_a_shell, run_here

SMALL = "--units 16 --layers 1 --embedding 8"
SHORT = "--steps 30 --streams 4 --sequence-length 16"
FINE_TUNED = "--steps 1 --streams 2 --sequence-length 16"
KEYWORDS = "steps=30, units=16, layers=1, embedding=8, streams=4, sequence_length=16"
BUDGET = re.compile(r" --(?:minutes|epochs|steps) [\d.]+")
CUT = "..."
# The examples of help pages, which this page repeats, have a test of their own (test_examples.py).
# The other generated page repeats docstrings, whose examples name texts of the reader.
RUN = [page for page in PAGES if not page.name.endswith("-reference.md")]
PIECES = "The old house. The older the house, the colder the old mouse in the house."


class Result(NamedTuple):
    status: int
    out: list[str]
    err: list[str]


# The texts


def names(size):
    """Return made-up names, one per line, `size` bytes in all."""
    rng, parts = random.Random(1), ("an", "be", "el", "mar", "jo", "ka", "ri", "so", "y")
    lines = ("".join(rng.choices(parts, k=rng.randint(2, 4))) + "\n" for _ in range(size // 3))
    return "".join(lines)[: size - 1] + "\n"


def plays(size):
    """Return scenes of a play, `size` bytes in all."""
    rng = random.Random(1)
    scenes = (f"{rng.choice(('ROMEO', 'JULIET'))}:\nTo be, or not to be: that is number "
              f"{rng.randrange(90)}.\n\n" for _ in range(size // 40 + 1))  # fmt: skip
    return "".join(scenes)[:size]


def log(days):
    lines = (f"{day:02} {h:02}:{m:02} INFO user {m % 7} signed in" for day in days
             for h in range(8) for m in range(0, 60, 5))  # fmt: skip
    return "".join(f"{line}\n" for line in lines)


def write_texts(folder):
    """Write the files that the pages name."""
    reviews = [f"{label}\tThe {thing} was {word}, and I would {do}.\n"
               for label, word, do in (("positive", "good", "come again"),
                                       ("negative", "bad", "not come again"))
               for thing in ("room", "food", "view", "bed", "bath")
               for _ in range(8)]  # fmt: skip
    texts = {
        "names.txt": names(2_000),
        "shakespeare.txt": plays(3_000),
        "my.txt": plays(6_000),
        "reviews.tsv": "label\ttext\n" + "".join(reviews),
        "old.log": log(range(1, 4)),
        "newer.log": log(range(4, 5)),
        "today.log": log(range(5, 6)) + "05 09:00 ERROR disk sda1 is full\n",
        "posts/first.md": plays(2_000),
        "posts/second.md": names(2_000),
        "posts/drafts/third.md": names(1_000),
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "latin.txt").write_bytes("Die Bären hören schöne Lieder. ".encode("latin-1") * 50)
    fetched = folder / "data"
    fetched.mkdir()
    for name, write in (("names", names), ("tinyshakespeare", plays)):
        entry = find_entry(name)
        (fetched / entry.file).write_text(write(entry.bytes))
    tokenizer = build_tokenizer([PIECES], TokenizerConfig(level="subword", vocab_size=20))
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=2, units=3, layers=1)
    checkpoint = Checkpoint(folder, settings(network), tokenizer, {}, FIGURES, "")
    (folder / "charlstm.json").write_bytes(msgspec.json.encode(describe(checkpoint)))
    return tokenizer


# How pages are run


class Runner:
    """Runs code of pages in one folder; a command that was run before is not run again."""

    def __init__(self, folder):
        self.folder = folder
        self.results = {}
        self.tokenizer = write_texts(folder)
        self.variables = {"CHARLSTM_DATA": str(folder / "data")}

    def command(self, line, capture):
        if line not in self.results:
            if line.startswith("charlstm train "):
                self._remove_checkpoint(line)
            self.results[line] = self._run(cut_down(line), capture)
        return self.results[line]

    def _remove_checkpoint(self, line):
        if not re.search(r" (-o|--dry-run|--resume)\b", line):
            name = line.split()[2].partition(".")[0]
            shutil.rmtree(self.folder / "checkpoints" / name, ignore_errors=True)

    def _run(self, line, capture):
        before, _, last = line.rpartition(" | ")
        if not is_plain(last) or "charlstm" in before:
            done = in_a_shell(line, self.folder, **self.variables)
            return Result(done.returncode, done.stdout.splitlines(), done.stderr.splitlines())
        stdin = in_a_shell(before, self.folder).stdout.encode() if before else b""
        return capture(shlex.split(last)[1:], stdin)

    def script(self, code):
        return in_a_shell(f"set -- names.txt\n{cut_down(code)}", self.folder, **self.variables)


def is_plain(line):
    """Return whether a line is one charlstm command, without anything that a shell would do."""
    unquoted = re.sub(r"'[^']*'", "", line)
    return line.startswith("charlstm ") and not re.search(r"[|<>&;$`*]", unquoted)


def cut_down(line):
    """Return a command with a small network and a short budget."""
    if "charlstm train " in line and "--resume" not in line:
        network = FINE_TUNED if " --from english" in line else SHORT
        network += "" if " --from " in line else f" {SMALL}"
        line = BUDGET.sub("", line)
        line = re.sub(r"(charlstm train )", rf"\1{network} ", line)
    if "charlstm evaluate " in line:
        line += " --against-sample 500" * ("--against" in line)
        line += " --sample 20" * ("--sample" not in line)
        line = re.sub(r"--dynamic-tokens \d+", "--dynamic-tokens 100", line)
    return line


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    """The folder of all pages, with the models that several pages use."""
    folder = tmp_path_factory.mktemp("pages")
    runner = Runner(folder)
    before = os.getcwd()
    os.chdir(folder)
    try:
        for line in (
            "charlstm train names.txt --lines -q",
            "charlstm train reviews.tsv --columns label,text -q",
            "charlstm train old.log --valid newer.log --lines -q",
        ):
            assert run_command_line(shlex.split(cut_down(line))[1:]) == 0
    finally:
        os.chdir(before)
    return runner


@pytest.fixture
def capture(runner, capfd, monkeypatch):
    """Return a function that runs a command line in this process."""
    monkeypatch.chdir(runner.folder)
    monkeypatch.delenv("CHARLSTM_CHECKPOINT", raising=False)
    for name, value in runner.variables.items():
        monkeypatch.setenv(name, value)

    def run(arguments, stdin):
        status, out, err = run_here(arguments, stdin, capfd, monkeypatch)
        return Result(status, out.splitlines(), err.splitlines())

    return run


# What is compared


def labels(line):
    """Return what a line has besides numbers and spaces."""
    return re.sub(r"[-+]?[\d.,]+(e[-+]\d+)?", "#", line).split()


def check_training(line, shown, done):
    if "--dry-run" in line or not shown:
        return
    if "--json" not in line and shown[-1] != CUT:
        assert done.out == shown[-1:]
    printed = {" ".join(labels(each.removesuffix("  best"))) for each in done.err}
    evaluations = [each.removesuffix("  best") for each in shown if each.startswith("step ")]
    assert evaluations
    for each in evaluations:
        assert " ".join(labels(each)) in printed, each


def check_table(line, shown, done):
    """Compare the labels in front of two spaces, in order; not all need to be shown."""
    printed = iter([each.split("  ")[0] for each in done.out])
    for each in shown:
        if each.strip() != CUT:
            assert each.split("  ")[0] in printed, each


def check_json(line, shown, done):
    assert len(shown) == len(done.out)
    for expected, each in zip(shown, done.out, strict=True):
        assert list(json.loads(expected)) == list(json.loads(each))


def check_columns(line, shown, done):
    assert len(shown) == len(done.out)
    for expected, each in zip(shown, done.out, strict=True):
        assert expected.count("\t") == each.count("\t")


def check_ranks(line, shown, done):
    assert len(shown) == len(done.out)
    for text in "\t".join(shown + done.out).split("\t"):
        assert text in line


def check_predictions(line, shown, done):
    count = int(found[1]) if (found := re.search(r"-k (\d+)", line)) else 5
    for lines in (shown, done.out):
        groups = {each.split("\t")[2] for each in lines if each.count("\t") == 2} or {""}
        assert 0 < len(lines) <= count * len(groups)
        assert groups in ({""}, {"completes", "follows"})
        assert all(re.fullmatch(r"(\d\.\d{4}|\de-\d\d)\t.+", each) for each in lines)


def check_fillings(line, shown, done):
    """A gap that has no word in the small model of the test has no rows."""
    for lines in (shown, done.out):
        assert all(re.fullmatch(r"(\d\.\d{4}|\de-\d\d)\t[^\t]+(\t\d)?", each) for each in lines)
    assert len(done.out) <= len(shown)


def check_text(line, shown, done):
    assert any(done.out)
    shown = [each for each in shown if not each.startswith("seed ")]
    if prompt := re.search(r" -p '([^']+)'", line):
        assert shown[0].startswith(prompt[1])
        assert done.out[0].startswith(prompt[1])
    if "generate names" in line and (count := re.search(r"(?:head -|tail -|-c )(\d+)$", line)):
        assert len(shown) == len(done.out) == int(count[1])


def check_output(line, shown, done):
    assert any(done.out + done.err)


def check(line, shown, done):
    """Compare what a page shows of a command with what the command has printed."""
    assert done.status == 0, (line, done.err)
    command = re.findall(r"charlstm (\w+)", line)[-1]
    if command == "train":
        return check_training(line, shown, done)
    if not shown:
        return None
    as_json = "--json" in line or (command in ("predict", "fill") and line.startswith("printf"))
    if as_json:
        return check_json(line, shown, done)
    if command == "score" and line.endswith("-q") and "--whole" not in line:
        return check_columns(line, shown, done)
    return {
        "generate": check_text,
        "score": check_text if "cut" in line else check_table,
        "predict": check_predictions,
        "fill": check_fillings,
        "rank": check_ranks,
        "evaluate": check_table,
        "info": check_table,
        "inspect": check_table,
    }.get(command, check_output)(line, shown, done)


def check_script(done):
    """The names of the script are new, and the most natural one is last."""
    assert done.returncode == 0, done.stderr
    found = [json.loads(each) for each in done.stdout.splitlines()]
    assert len(found) == 5
    bits = [each["bits"] for each in found]
    assert bits == sorted(bits, reverse=True)


# The tests


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.stem)
def test_a_page_works_as_shown(page, runner, capture, capfd):
    namespace = {"__name__": "__main__"}
    for block in blocks_of(page.read_text()):
        if block.language == "console":
            for line, shown in commands_of(block):
                check(line, shown, runner.command(line, capture))
        elif block.language == "python":
            code = re.sub(r"\bminutes=\d+|\bsteps=\d+", KEYWORDS, block.code)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", CharlstmWarning)  # notes on these short texts
                exec(compile(code, page.name, "exec"), namespace)
        elif block.language == "sh":
            check_script(runner.script(block.code))
    if page.name == "models.md":  # whose example divides a text as charlstm does
        assert namespace["ids"] == runner.tokenizer.encode("The old house.").tolist()
        assert len(namespace["ids"]) < len("The old house.")
    if page.name == "guide.md":  # whose text says what its example prints
        printed = capfd.readouterr().out.strip()
        assert f"This prints `{printed}`" in page.read_text()


def test_all_commands_are_run_somewhere():
    lines = [each.line for page in RUN for block in blocks_of(page.read_text())
             if block.language == "console" for each in commands_of(block)]  # fmt: skip
    used = {name for line in lines for name in re.findall(r"charlstm (\w+)", line)}
    assert used >= {
        *("train", "generate", "predict", "score", "rank", "evaluate", "inspect", "info"),
        *("models", "export", "corpora", "cache", "look", "plot", "fill"),
    }
