"""``charlstm generate`` as a filter: what it writes where, and what it refuses."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

import charlstm as package
from charlstm.checkpoint import MODEL, read_checkpoint

KEYS = [
    "index", "prompt", "text", "tokens", "seed", "finish_reason", "mean_log_probability",
]  # fmt: skip


def test_text_goes_to_stdout_and_the_seed_to_stderr(charlstm, prose):
    result = charlstm("generate", prose, "-n", 40, "--seed", 5)
    assert (result.status, result.err) == (0, "seed 5\n")
    again = charlstm("generate", prose, "-n", 40, "--seed", 5, "--quiet")
    assert (again.out, again.err) == (result.out, "")
    assert charlstm("generate", prose, "-n", 40, "--seed", 6).out != result.out


def test_json_lines_say_the_same_as_the_streamed_text(charlstm, prose):
    text = charlstm("generate", prose, "-p", "the ", "-n", 40, "--seed", 5).out
    result = charlstm("generate", prose, "-p", "the ", "-n", 40, "--seed", 5, "--json")
    sample = json.loads(result.out)
    assert list(sample) == KEYS
    assert sample["prompt"] + sample["text"] == text.removesuffix("\n")
    assert (sample["tokens"], sample["finish_reason"], sample["seed"]) == (40, "length", 5)
    assert sample["mean_log_probability"] < 0


def test_a_drawn_seed_is_told_and_repeats_the_text(charlstm, prose):
    first = charlstm("generate", prose, "-n", 30)
    seed = first.err.removeprefix("seed ").strip()
    assert charlstm("generate", prose, "-n", 30, "--seed", seed).out == first.out


def test_one_sample_a_line(charlstm, names):
    result = charlstm("generate", names, "-c", 20, "--seed", 1)
    assert result.status == 0
    lines = result.out.split("\n")
    assert len(lines) == 21
    assert lines[-1] == ""
    samples = charlstm("generate", names, "-c", 20, "--seed", 1, "--json").out.splitlines()
    assert [json.loads(sample)["text"] for sample in samples] == lines[:-1]
    assert {json.loads(sample)["finish_reason"] for sample in samples} == {"end"}


def test_what_is_written_matches(charlstm, names):
    result = charlstm("generate", names, "-c", 30, "--seed", 1, "--match", "[a-m][a-z]{2,4}[ae]")
    assert result.status == 0
    lines = result.out.splitlines()
    assert len(lines) == 30
    assert all(re.fullmatch("[a-m][a-z]{2,4}[ae]", line) for line in lines)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?=a)b", "the pattern '(?=a)b' can't be used: expected a regular expression without "
         "look-around, back-references and word boundaries (they have no automaton)"),
        ("[0-9]+", "no text of the model's symbols matches the pattern '[0-9]+': write one with "
         "characters that stand in the training text"),
    ],
)  # fmt: skip
def test_a_pattern_that_can_not_be_followed_is_misuse(charlstm, names, pattern, message):
    result = charlstm("generate", names, "-q", "--match", pattern)
    assert (result.status, result.out, result.err) == (2, "", f"Error: {message}\n")


def test_every_sampler_has_an_option(charlstm, prose):
    every = ["--typical", 0.9, "--mirostat", 2, "--mirostat-rate", 0.2, "--presence-penalty", 0.5,
             "--frequency-penalty", 0.1, "--loop-penalty", 0.8, "--loop-length", 4,
             "--loop-base", 2, "--loop-window", 50]  # fmt: skip
    plain = ["generate", prose, "-n", 200, "--seed", 5, "-t", 1.2]
    result = charlstm(*plain, *every)
    assert result.status == 0
    assert result.out != charlstm(*plain).out


def test_samples_of_documents_are_separated_by_an_empty_line(charlstm, prose):
    result = charlstm("generate", prose, "-c", 2, "-n", 10, "-t", 0, "-p", "the quick")
    one = charlstm("generate", prose, "-n", 10, "-t", 0, "-p", "the quick").out
    assert result.out == f"{one}\n{one}"


def test_line_ends_are_kept(charlstm, prose):
    text = charlstm("generate", prose, "-n", 200, "-t", 0, "-p", "sleeps.\r").out
    assert text.startswith("sleeps.\r\n")


@pytest.mark.parametrize("arguments", [["--prompt", "-"], ["--prompt-file", "-"]])
def test_the_prompt_may_come_from_stdin(charlstm, prose, arguments):
    expected = charlstm("generate", prose, "-p", "the quick\r\n", "-n", 20, "--seed", 1).out
    piped = charlstm("generate", prose, *arguments, "-n", 20, "--seed", 1, stdin=b"the quick\r\n")
    assert piped.out == expected


def test_the_prompt_may_come_from_a_file_and_may_be_left_out(charlstm, prose, tmp_path):
    (tmp_path / "prompt").write_bytes(b"the lazy\r\n")
    options = ["generate", prose, "-n", 20, "--seed", 1, "--prompt-file", "prompt"]
    with_prompt = charlstm(*options)
    without = charlstm(*options, "--no-prompt")
    assert with_prompt.out == "the lazy\r\n" + without.out


@pytest.mark.parametrize("source", ["stdin", "file"])
@pytest.mark.parametrize(
    ("given", "expected"),
    [("ab\n", "ab"), ("ab", "ab"), ("a\nb\n", "a\nb"), ("ab\n\n", "ab\n"), ("\n", ""), ("", "")],
)
def test_a_line_to_continue_ends_before_the_newline_of_its_file(
    charlstm, names, tmp_path, source, given, expected
):
    """``echo ab | charlstm generate names -p -`` continues "ab", not an empty line after it."""
    (tmp_path / "prompt").write_bytes(given.encode())
    arguments = ["-p", "-"] if source == "stdin" else ["--prompt-file", "prompt"]
    options = ["-n", 5, "--seed", 1, "-q", "--json"]
    result = charlstm("generate", names, *arguments, *options, stdin=given.encode())
    assert json.loads(result.out)["prompt"] == expected
    assert result.out == charlstm("generate", names, "-p", expected, *options).out


def test_a_prompt_of_the_command_line_is_taken_as_it_is(charlstm, names, prose):
    for model in (names, prose):
        result = charlstm("generate", model, "-p", "ab\n", "-n", 5, "-q", "--json")
        assert json.loads(result.out)["prompt"] == "ab\n"


def test_stop_ends_before_the_text(charlstm, prose):
    text = charlstm("generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--no-prompt").out
    stop = text[20:23]
    result = charlstm(
        "generate", prose, "-t", 0, "-p", "the quick", "-n", 60, "--stop", stop, "--json"
    )
    sample = json.loads(result.out)
    assert sample["finish_reason"] == "stop"
    assert sample["text"] == text[: text.index(stop)]


def test_unknown_characters_in_the_prompt_are_told(charlstm, prose):
    result = charlstm("generate", prose, "-p", "the €uick", "-n", 5, "--seed", 1)
    assert result.status == 0
    assert result.err.startswith("Warning: the prompt has 1 unknown character (1 × '€' U+20AC)")
    assert result.out.startswith("the €uick")
    assert "\ufffd" not in result.out


def test_words_continue_after_a_space(charlstm, words):
    result = charlstm("generate", words, "-p", "the lazy ", "-n", 3, "-t", 0, "--seed", 1)
    assert result.out.startswith("the lazy ")
    assert not result.out.startswith("the lazy  ")


def test_both_precisions_run(charlstm, prose):
    for precision in ("int8", "float32"):
        result = charlstm("generate", prose, "--precision", precision, "-n", 5, "--threads", 1)
        assert result.status == 0


def test_without_a_checkpoint_the_newest_is_taken(charlstm, prose, names, monkeypatch, tmp_path):
    nothing = charlstm("generate")
    assert (nothing.status, nothing.out) == (1, "")
    assert nothing.err == (
        "Error: no checkpoint is named, CHARLSTM_CHECKPOINT is not set and checkpoints/ holds "
        "none: name a folder that charlstm train has written\n"
    )
    shutil.copytree(prose, tmp_path / "checkpoints" / "older")
    shutil.copytree(names, tmp_path / "checkpoints" / "newer")
    os.utime(tmp_path / "checkpoints" / "older" / MODEL, (1, 1))
    result = charlstm("generate", "--seed", 1)
    assert (result.status, result.err) == (0, "checkpoints/newer, seed 1\n")
    monkeypatch.setenv("CHARLSTM_CHECKPOINT", "checkpoints/older")
    assert charlstm("generate", "--seed", 1).err == "checkpoints/older, seed 1\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["-p", "a", "--prompt-file", "b"], 2,
         "--prompt and --prompt-file both name a prompt: give one of them"),
        (["--prompt-file", "b"], 1, "can't read the prompt file b: No such file or directory"),
        (["-p", "caf\udce9"], 2,
         "--prompt is not valid UTF-8: give it in UTF-8 or use --prompt-file"),
        (["--stop", ""], 2,
         "stop is an empty text, which every text ends with: give at least one character"),
    ],
)  # fmt: skip
def test_what_is_refused(charlstm, prose, arguments, status, message):
    assert charlstm("generate", prose, *arguments) == (status, "", f"Error: {message}\n")


def test_a_prompt_that_is_not_utf_8(charlstm, prose):
    assert charlstm("generate", prose, "-p", "-", stdin=b"caf\xe9!") == (
        1,
        "",
        "Error: the prompt in - is not UTF-8: byte 0xe9 at offset 3 doesn't decode; convert it, "
        "for example with iconv\n",
    )


@pytest.mark.parametrize("option", ["-p -", "--prompt-file -"])
def test_a_closed_standard_input_is_misuse(prose, option):
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m charlstm generate {prose} {option} -q <&-"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: standard input is closed: pipe a prompt in, or use --prompt\n"


def test_a_full_disk_behind_stdout_is_one_sentence(prose):
    command = f"{sys.executable} -m charlstm generate {prose} -n 50 --seed 1 -q > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


def test_a_closed_pipe_ends_quietly(prose):
    command = f"{sys.executable} -m charlstm generate {prose} -n 100000 --seed 1 -q | head -c 10"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], capture_output=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(done.stdout) == 10


def test_the_python_interface_writes_the_same(charlstm, prose):
    text = charlstm("generate", prose, "-p", "a ", "-n", 25, "--seed", 9).out
    model = package.load(prose)
    (sample,) = model.generate("a ", length=25, seed=9)
    assert "a " + sample.text == text.removesuffix("\n")
    assert model.checkpoint.figures == read_checkpoint(prose).figures
    pieces = []
    config = package.SampleConfig(length=25)
    (streamed,) = model.stream(
        "a ", config, seed=9, on_text=lambda index, text: pieces.append((index, text))
    )
    assert streamed == sample
    assert "".join(text for _, text in pieces) == sample.text
    with pytest.raises(package.CharlstmError, match="temperature is -1"):
        model.generate(temperature=-1.0)
