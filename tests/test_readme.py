"""The README is run: every command in it, with its budget cut down and texts of our own.

What a command prints depends on the machine, so its shape is compared with what the README shows:
the labels of tables, the form of evaluations, the keys of JSON, the number of lines, the prompt.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from charlstm.checkpoint.schema import Checkpoint
from charlstm.config import ModelConfig, TokenizerConfig
from charlstm.export import describe
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, settings
from tests.processes import in_a_shell

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```console\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
CUT_DOWN = "--steps 30 --units 16 --layers 1 --embedding 8 --streams 4 --sequence-length 16"
KEYWORDS = "steps=30, units=16, layers=1, embedding=8, streams=4, sequence_length=16"
EVALUATION = re.compile(
    r"step +[\d,]+  epoch +[\d.]+  train [\d.]+  valid [\d.]+ nats  [\d.]+ bits/char "
    r".*\d s(  best)?"
)


def commands_in(block):
    """Split a block into (command, lines shown)."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)
    assert parts[0] == ""
    return [(part.splitlines()[0], part.splitlines()[1:]) for part in parts[1:]]


COMMANDS = [pair for block in BLOCKS for pair in commands_in(block)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("readme")
    lines = [f"{name}:\nTo be, or not to be: that is number {n}.\n" for n in range(40)
             for name in ("ROMEO", "JULIET")]  # fmt: skip
    (path / "shakespeare.txt").write_text("\n".join(lines))
    names = [a + b + c for a in ("an", "be", "el") for b in "aeiou" for c in ("na", "l", "son")]
    (path / "names.txt").write_text("\n".join(names) + "\n")
    return path


def run(command, folder):
    return in_a_shell(re.sub(r"--minutes [\d.]+", CUT_DOWN, command), folder)


def check_training(shown, done):
    assert shown[-1] == done.stdout.strip()
    for lines in (shown, done.stderr.splitlines()):
        assert any(line.startswith("training on ") for line in lines)
        evaluations = [line for line in lines if line.startswith("step ")]
        assert evaluations
        assert all(EVALUATION.fullmatch(line) for line in evaluations)


def check_table(shown, done):
    assert [line.split()[0] for line in shown] == [
        line.split()[0] for line in done.stdout.splitlines()
    ]


def check_json(shown, done):
    assert [list(json.loads(line)) for line in shown] == [
        list(json.loads(line)) for line in done.stdout.splitlines()
    ]


def check_scores(shown, done):
    """Compare the places of a line's figures, or the labels of a text's."""
    lines = done.stdout.splitlines()
    assert len(shown) == len(lines)
    for expected, line in zip(shown, lines, strict=True):
        assert expected.count("\t") == line.count("\t")
        if "\t" not in line:
            assert expected[:20] == line[:20]


def check_ranks(command, shown, done):
    lines = done.stdout.splitlines()
    assert len(shown) == len(lines)
    for text in "\t".join(shown + lines).split("\t"):
        assert text in command


def check_text(command, shown, done):
    if prompt := re.search(r"--prompt '([^']+)'", command):
        assert any(line.startswith(prompt[1]) for line in shown)
        assert done.stdout.startswith(prompt[1])
    if count := re.search(r"(?:head -|-c )(\d+)", command):
        assert len([line for line in shown if not line.startswith("seed ")]) <= int(count[1])
        assert len(done.stdout.splitlines()) <= int(count[1])
    assert done.stdout.strip()


def check_predictions(command, shown, done):
    count = int(found[1]) if (found := re.search(r"-k (\d+)", command)) else 5
    for lines in (shown, done.stdout.splitlines()):
        groups = {line.split("\t")[2] for line in lines if line.count("\t") == 2} or {""}
        assert 0 < len(lines) <= count * len(groups)
        assert groups in ({""}, {"completes", "follows"})
        assert all(re.fullmatch(r"(\d\.\d{4}|\de-\d\d)\t.+", line) for line in lines)


def test_there_is_a_session():
    used = " ".join(command for command, _ in COMMANDS)
    names = ("train", "generate", "predict", "score", "rank", "evaluate", "info", "export", "cache")
    for name in names:
        assert f"charlstm {name}" in used
    assert "|" in used
    assert "--json" in used


def test_every_command_works_as_shown(folder):
    for command, shown in COMMANDS:
        done = run(command, folder)
        assert done.returncode == 0, (command, done.stderr)
        if " train " in command:
            check_training(shown, done)
        elif "--json" in command and "|" not in command:
            check_json(shown, done)
        elif " score " in command:
            check_scores(shown, done)
        elif " rank " in command:
            check_ranks(command, shown, done)
        elif " predict " in command and "|" not in command:
            check_predictions(command, shown, done)
        elif " info " in command or " evaluate " in command:
            check_table(shown, done)
        elif " cache" in command:
            assert shown[-1].split()[1] == "entries,"
            assert done.stderr.splitlines()[-1].split()[1] in ("entry,", "entries,")
        else:
            check_text(command, shown, done)


@pytest.fixture(scope="module")
def trained(folder):
    """The folder, with the checkpoints that the session trains."""
    for command, _ in COMMANDS:
        output = folder / "checkpoints" / Path(command.partition(" train ")[2].split(" ")[0]).stem
        if " train " in command and not output.exists():
            assert run(command, folder).returncode == 0
    return folder


def test_the_python_example_works(trained):
    folder = trained
    shutil.copytree(folder / "checkpoints" / "shakespeare", folder / "checkpoints" / "demo")
    done = run_python("charlstm.load", folder)
    assert re.search(r" -\d\.\d+$", done.stdout, re.MULTILINE)


def test_the_example_of_training_works(folder):
    done = run_python("charlstm.train", folder)
    assert re.match(r"budget \d\.\d+\n", done.stdout)
    assert (folder / "checkpoints" / "given-names").exists()


def test_the_example_of_an_exported_model_works(trained):
    folder = trained
    run("charlstm export checkpoints/names -o names.onnx --overwrite", folder)
    assert run_python("onnxruntime", folder).stdout.endswith("\n")


def test_the_example_of_pieces_divides_a_text_as_charlstm_does(folder):
    text = "The old house. The older the house, the colder the old mouse in the house."
    tokenizer = build_tokenizer([text], TokenizerConfig(level="subword", vocab_size=20))
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=2, units=3, layers=1)
    checkpoint = Checkpoint(folder, settings(network), tokenizer, {}, FIGURES, "")
    (folder / "charlstm.json").write_bytes(msgspec.json.encode(describe(checkpoint)))
    ids = json.loads(run_python("pairwise", folder).stdout)
    assert ids == tokenizer.encode("The old house.").tolist()
    assert len(ids) < len("The old house.")


def test_the_script_works(folder):
    (script,) = re.findall(r"^```sh\n(#!.*?)^```", README, re.MULTILINE | re.DOTALL)
    done = run(f"set -- names.txt\n{script}", folder)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 5
    known = set((folder / "names.txt").read_text().splitlines())
    assert not known & {each["name"] for each in found}
    assert [each["bits"] for each in found] == sorted(
        (each["bits"] for each in found), reverse=True
    )


def run_python(mark, folder):
    """Run the one Python example that contains ``mark``."""
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if mark in block)
    code = re.sub(r"minutes=\d+|steps=\d+", KEYWORDS, code)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_targets_of_make_are_listed():
    targets = re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
    section = README[README.index("## The code") :]
    for target in targets:
        assert f"`make {target}`" in section, target
