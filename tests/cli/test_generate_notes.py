"""What ``charlstm generate`` says on stderr about its input and its samples, and when."""

from __future__ import annotations

import io
import os
import re
import socket
from collections import Counter

import msgspec
import pytest

import charlstm as package
from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.cli.generate_notes import note_unread_input
from charlstm.config import CorpusConfig, ModelConfig, TokenizerConfig
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, begin, settings, weights_for
from tests.cli.helpers import objects
from tests.messages import assert_error, assert_names, assert_warning
from tests.processes import in_a_shell


def untrained(folder, text, **corpus):
    """Return a checkpoint of one document with random weights, for the characters of a text."""
    tokenizer = build_tokenizer([text], TokenizerConfig())
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=2, units=3, layers=1)
    config = CorpusConfig(addresses=("text.txt",), **corpus)
    chosen = settings(network, corpus=config)
    provenance = msgspec.structs.replace(chosen.provenance, ends=False)
    begin(folder, msgspec.structs.replace(chosen, provenance=provenance), tokenizer)
    CheckpointWriter(folder).model(weights_for(network), FIGURES)
    return folder


# A pipe that was not read


def test_a_pipe_that_is_not_read_is_told(charlstm, prose):
    options = ["generate", prose, "-n", 5, "--seed", 1]
    told = charlstm(*options, stdin=b"the quick")
    unread, seed = told.err.splitlines()
    assert_names(unread, "stdin", "-p -", "--prompts -")
    assert (told.status, seed, told.out) == (0, "seed 1", charlstm(*options).out)
    assert charlstm(*options, "-q", stdin=b"the quick").err == ""
    searched = charlstm("generate", prose, "-n", 5, "--beam", 2, stdin=b"the quick")
    assert searched.err == f"{unread}\n"


@pytest.mark.parametrize(
    "option",
    [["-p", "a"], ["-p", ""], ["--prompt-file", "a"], ["--prompts", "a"], ["-p", "-"]],
)
def test_where_a_prompt_is_given_the_pipe_belongs_to_somebody_else(
    charlstm, prose, tmp_path, option
):
    """As in ``while read line; do charlstm generate -p "$line"; done``."""
    (tmp_path / "a").write_text("a")
    assert charlstm("generate", prose, "-n", 5, "--seed", 1, *option, stdin=b"a").err == "seed 1\n"


@pytest.mark.parametrize(
    ("line", "times"),
    [
        ("while read line; do {}; done < text", 0),
        ("{{ {}; cat > rest; }} < text; cmp text rest", 1),
        ("cat text | {{ {}; cat > rest; }}; cmp text rest", 1),
    ],
)
def test_what_is_not_read_is_still_there_for_the_next(prose, tmp_path, line, times):
    (tmp_path / "text").write_text("one\n")
    done = in_a_shell(line.format(f"charlstm generate {prose} -n 5 --seed 1"), tmp_path)
    assert (done.returncode, done.stderr.count("stdin was not read")) == (0, times)


def is_told(monkeypatch, stream):
    monkeypatch.setattr("sys.stdin", stream)
    return note_unread_input()


def test_what_is_a_text_that_was_not_read(monkeypatch, tmp_path):
    """Nothing is waited for, and nothing is read."""
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty").touch()
    with (tmp_path / "text").open() as text:
        assert is_told(monkeypatch, text)
        assert text.read(1) == "t"
        assert not is_told(monkeypatch, text)
    for name in (tmp_path / "empty", os.devnull):
        with open(name) as nothing:
            assert not is_told(monkeypatch, nothing)
    assert not is_told(monkeypatch, nothing)  # closed
    assert not is_told(monkeypatch, None)
    assert not is_told(monkeypatch, io.StringIO("text"))


def test_what_stays_open_is_not_waited_for(monkeypatch):
    """As a pipe does under cron and a socket under ssh."""
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    terminal, other_side = os.openpty()
    os.write(terminal, b"typed ahead\n")
    with theirs.makefile() as stream, ours, theirs:
        assert not is_told(monkeypatch, stream)
        ours.sendall(b"text")
        assert is_told(monkeypatch, stream)
        assert theirs.recv(9) == b"text"
    with os.fdopen(read) as stream:
        assert not is_told(monkeypatch, stream)
        os.write(write, b"text")
        assert is_told(monkeypatch, stream)
        os.close(write)
        assert stream.read() == "text"
        assert not is_told(monkeypatch, stream)
    with os.fdopen(other_side) as stream:
        assert not is_told(monkeypatch, stream)
    os.close(terminal)


def test_a_text_that_comes_late_is_told_after_the_sample(charlstm, prose, monkeypatch):
    answers = iter([False, True])
    monkeypatch.setattr("charlstm.cli.generate_notes._has_input", lambda: next(answers))
    seed, unread = charlstm("generate", prose, "-n", 5, "--seed", 1).err.splitlines()
    assert seed == "seed 1"
    assert "stdin" in unread


# Texts that can never occur


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--stop", "a€"], ["--stop 'a€'", 1, "'€' U+20AC"]),
        (["--ban", "É", "--ban", "a", "--ban", "Éé"], ["--ban", "2 texts", 3, "2 × 'É' U+00C9"]),
        (["--bias", "É=+2.5"], ["--bias 'É'", 1, "'É' U+00C9"]),
        (["--stop", r"\n"], [r"--stop '\n'", r"'\' U+005C", r"--stop $'\n'"]),
        (["--stop", "the", "--stop", r"'\t'"], [r"--stop ''\t''", r"--stop $'\'\t\''"]),
        (["--ban", r"\u00e9"], [r"--ban $'\u00e9'"]),
        (["--bias", r"\r\n=-1"], [r"--bias $'\r\n=-1'"]),
        (["-p", r"the\nfox", "-t", "1"], ["the prompt", r"--prompt $'the\nfox'"]),
        (["-p", "É", "--stop", "Éa"], ["the prompt", "--stop 'Éa'", "'É'"]),
        (["--beam", 2, "--stop", "É"], ["--stop 'É'"]),
    ],
)
def test_a_text_that_can_never_occur_is_warned_of(charlstm, prose, options, parts):
    result = charlstm("generate", prose, "-n", 5, *options)
    assert result.status == 0
    warnings = [line for line in result.err.splitlines() if line.startswith("Warning: ")]
    assert_names(" ".join(warnings), *parts)
    assert charlstm("generate", prose, "-n", 5, "-q", *options).err == ""


@pytest.mark.parametrize(
    "options",
    [
        ["--stop", "quick", "--ban", "the", "--bias", "fox=+1"],
        ["--stop", "\r\n", "--ban", "\n"],
        ["-p", "aÉ", "--ban", "Éa", "--bias", "aÉa=1"],
    ],
)
def test_a_text_that_may_occur_is_not(charlstm, prose, options):
    """As a banned one may that begins in the prompt, which may have any character."""
    result = charlstm("generate", prose, "-n", 5, *options)
    assert result.status == 0
    assert not any("--" in line for line in result.err.splitlines())


def test_a_text_may_occur_in_the_form_that_the_model_reads(charlstm, tmp_path):
    composed = untrained(tmp_path / "composed", "müde tür.\n", normalize="nfc")
    for option in ("--stop", "--ban"):
        assert "Warning" not in charlstm("generate", composed, "-n", 5, option, "u\u0308").err
    told = charlstm("generate", composed, "-n", 5, "--stop", "o\u0308")
    assert_warning(told, "--stop", "'ö' U+00F6")


def test_escapes_that_the_model_may_write_are_noted(charlstm, prose, monkeypatch):
    monkeypatch.setattr(
        "charlstm.tokenizer.base.Tokenizer.unknown_characters", lambda *_: Counter()
    )
    options = ["generate", prose, "-n", 5, "--seed", 1]
    noted, seed = charlstm(*options, "--stop", r"\n\n").err.splitlines()
    assert_names(noted, r"--stop '\n\n'", r"--stop $'\n\n'")
    assert charlstm(*options, "--stop", r"\n\n", "-q").err == ""
    assert charlstm(*options, "--stop", r"a\n").err == f"{seed}\n"


@pytest.mark.parametrize("command", [["predict", r"the\n"], ["rank", "--context", r"the\n"]])
def test_escapes_in_what_other_commands_read_are_told(charlstm, prose, command):
    name, *options = command
    assert_names(charlstm(name, prose, *options, stdin=b"a\n").err, r"'\' U+005C", r"$'the\n'")


def test_a_unit_that_nothing_ends_is_warned_of(charlstm, tmp_path, names, prose):
    dna = untrained(tmp_path / "dna", "ACGT")
    for unit in ("sentence", "line", "paragraph"):
        result = charlstm("generate", dna, "-n", 5, "--until", unit)
        assert_warning(result, f"--until {unit}", dna, "--stop", "-n")
        for ends in (names, prose):
            assert "Warning" not in charlstm("generate", ends, "-n", 5, "--until", unit).err


# Samples that were cut


@pytest.fixture
def terminal(charlstm, monkeypatch):
    """Return a function that runs a command whose stderr is a terminal; returns notes but seeds."""

    def run(*arguments):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True)
        result = charlstm("generate", *arguments, "--seed", 1)
        assert result.status == 0
        return re.findall("Note: .*", result.err)  # after a progress bar, on the same line

    return run


def test_which_samples_were_cut_is_told_on_a_terminal(charlstm, terminal, names):
    options = [names, "-c", 12, "-n", 5]
    assert charlstm("generate", *options, "--seed", 1).err == "seed 1\n"
    (told,) = terminal(*options)
    samples = objects(charlstm("generate", *options, "--json", "--seed", 1))
    numbers = [each["index"] + 1 for each in samples if each["finish_reason"] == "length"]
    assert 1 < len(numbers) <= 8
    listed = f"(number {', '.join(map(str, numbers))})"
    assert_names(told, f"{len(numbers)} of 12", listed, "5 characters", "--length", "--finished")
    (many,) = terminal(names, "-c", 12, "-n", 1)
    assert_names(many, "12 of 12", "1 characters")
    assert "number" not in many
    (one,) = terminal(names, "-n", 1)
    assert_names(one, "the sample was cut", "--finished")
    assert terminal(*options, "-q") == terminal(*options, "--json") == []
    assert terminal(*options, "--finished") == []


def test_where_nothing_was_to_end_nothing_was_cut(terminal, prose, recipes, words):
    assert terminal(prose, "-n", 5) == terminal(words, "-n", 5) == []
    assert terminal(prose, "-n", 5, "--until", "document") == []
    for options in (["--until", "sentence"], ["--stop", "zz"]):
        (told,) = terminal(prose, "-n", 5, *options)
        assert_names(told, "5 characters")
    (told,) = terminal(words, "-n", 5, "--until", "paragraph")
    assert_names(told, "5 tokens")
    (told,) = terminal(recipes, "-n", 5)
    assert_names(told, "5 characters")


def test_what_is_finished_has_ended(charlstm, names, prose):
    options = ["generate", names, "-c", 12, "-n", 5, "--seed", 1, "-q", "--json"]
    ended = [each["text"] for each in objects(charlstm(*options)) if each["finish_reason"] == "end"]
    found = objects(charlstm(*options, "--finished"))
    assert {each["finish_reason"] for each in found} == {"end"}
    assert [each["text"] for each in found][: len(ended)] == ended
    assert [each["index"] for each in found] == list(range(12))
    rest = [
        "-n",
        6,
        "--seed",
        1,
        "-q",
        "--json",
        "--finished",
        "--novel",
        "--unique",
        "-t",
        3,
        "--min-p",
        0,
    ]
    options = ["generate", names, "--prompts", "-", "-c", 3, *rest]
    found = objects(charlstm(*options, stdin=b"a\nbe\n"))
    assert [each["prompt"] for each in found] == ["a"] * 3 + ["be"] * 3
    assert len({each["prompt"] + each["text"] for each in found}) == 6
    assert {each["finish_reason"] for each in found} == {"end"}
    options = ["generate", prose, "-p", "the ", "-n", 200, "-q", "--json", "--finished"]
    (found,) = objects(charlstm(*options, "--until", "sentence", "--stop", "zz"))
    assert found["finish_reason"] == "until"
    (found,) = objects(charlstm("generate", names, "--beam", 8, "-n", 8, "--finished", "--json"))
    assert found["finish_reason"] == "end"


def test_a_search_without_an_end_is_refused_or_given_up(charlstm, names, prose):
    for beam in ([], ["--beam", 2]):
        told = charlstm("generate", prose, "--finished", *beam)
        assert_error(told, 2, "documents end", "--until", "--stop", "--finished")
        told = charlstm("generate", names, "--finished", "-n", 1, "-q", *beam)
        assert_error(told, 1, "--length")


def test_the_python_interface_knows_what_is_finished(names):
    model = package.load(names)
    samples = model.generate(count=9, length=5, seed=1, finished=True)
    assert {sample.finish_reason for sample in samples} == {"end"}
    assert list(model.stream([""], length=5, finished=True, count=9, seed=1)) == samples
