"""How samples are printed: as text, in JSON, in color; how fast they were."""

import os
import re
import subprocess
import sys

import pytest

from tests.cli.helpers import objects
from tests.messages import assert_error


def test_json_has_each_token(charlstm, names):
    options = ["generate", names, "-p", "an", "--seed", 1, "-q", "--json"]
    (plain,) = objects(charlstm(*options))
    (told,) = objects(charlstm(*options, "--show-probs"))
    (beside,) = objects(charlstm(*options, "--alternatives", 2))
    assert "per_token" not in plain
    assert plain | {"per_token": told["per_token"]} == told
    assert "".join(each["text"] for each in told["per_token"]) == told["text"]
    assert told["finish_reason"] == "end"
    *drawn, end = told["per_token"]
    assert all(list(each) == ["text", "log_probability"] for each in drawn)
    assert end == {"text": "", "log_probability": end["log_probability"], "special": "end"}
    total = sum(each["log_probability"] for each in told["per_token"])
    assert total == pytest.approx(told["mean_log_probability"] * told["tokens"], abs=1e-4)
    assert [len(each["alternatives"]) for each in beside["per_token"]] == [2] * beside["tokens"]


def test_alternatives_are_told_in_json_only(charlstm, names):
    assert_error(charlstm("generate", names, "--alternatives", 2), 2, "--alternatives", "--json")


def test_there_are_no_colors_in_a_pipe(charlstm, names):
    options = ["generate", names, "-c", 3, "--seed", 1]
    assert charlstm(*options, "--show-probs") == charlstm(*options)


def on_a_terminal(*arguments, **variables):
    """Run a command whose stdout and stderr are a terminal; return all it wrote."""
    ours, theirs = os.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | variables
    command = [sys.executable, "-m", "charlstm", *map(str, arguments)]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        try:
            while block := os.read(ours, 4096):
                written += block
        except OSError:  # how a terminal says that its other side was closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return written.decode().replace("\r\n", "\n")


COLOR = re.compile("\x1b\\[[0-9;]*m")


@pytest.mark.parametrize("prompt", ["", "an"])
def test_a_terminal_shows_colors(charlstm, names, prompt):
    options = ["generate", names, "-p", prompt, "--seed", 1]
    plain = charlstm(*options).out
    shown = on_a_terminal(*options, "--show-probs")
    legend = "Probability: 50% and more, 20% and more, 5% and more, less\n"
    assert COLOR.sub("", shown) == f"seed 1\n{legend}{plain}"
    colored = shown.split("\n")[2]
    assert len(COLOR.findall(colored)) == 2 * len(plain.strip().removeprefix(prompt))
    assert colored.startswith(prompt)


@pytest.mark.parametrize(("value", "colors"), [("1", False), ("", True)])
def test_no_color_is_obeyed(charlstm, names, value, colors):
    options = ["generate", names, "--seed", 1]
    shown = on_a_terminal(*options, "--show-probs", NO_COLOR=value)
    assert bool(COLOR.search(shown)) == colors
    if not colors:
        assert shown == "seed 1\n" + charlstm(*options).out


def test_colors_begin_after_what_repeats_the_prompt(words):
    """At word level the first token drawn has the end of the prompt in it."""
    options = ["generate", words, "-p", "the lazy lazy do", "-n", 3, "-t", 0, "-q", "--show-probs"]
    shown = on_a_terminal(*options)
    assert shown.startswith("the lazy lazy do\x1b[")
    plain = COLOR.sub("", shown)
    assert plain.startswith("the lazy lazy dog")


def test_speed_is_told_when_asked(charlstm, names):
    result = charlstm("generate", names, "-c", 3, "--seed", 1, "-v")
    assert result.status == 0
    tokens = sum(len(line) + 1 for line in result.out.splitlines())
    assert re.fullmatch(rf"seed 1\n{tokens} tokens in \d+\.\d\d s, [\d,]+ tokens/s\n", result.err)
    quiet = charlstm("generate", names, "-c", 3, "--seed", 1, "-v", "-q")
    assert quiet == (0, result.out, "")
