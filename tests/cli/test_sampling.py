"""The options of sampling: each changes the text, and is refused where it has no effect."""

import pytest

from charlstm.cli.generate import command
from tests.messages import assert_error, assert_misuse


@pytest.mark.parametrize(
    "options",
    [
        ["--bias", "e=-3"],
        ["--ban", "o"],
        ["--repetition-penalty", 1.5],
        ["--repetition-penalty", 1.5, "--repetition-window", 5],
        ["--presence-penalty", 1],
        ["--frequency-penalty", 0.5],
        ["--loop-penalty", 0.8],
        ["--loop-penalty", 0.8, "--loop-length", 4],
        ["--loop-penalty", 0.8, "--loop-length", 4, "--loop-base", 2],
        ["--loop-penalty", 0.8, "--loop-length", 4, "--loop-window", 50],
        ["--top-k", 2],
        ["--typical", 0.5],
        ["--top-p", 0.5],
        ["--min-p", 0.3],
        ["--mirostat", 0.5],
        ["--mirostat", 0.5, "--mirostat-rate", 0.9],
        ["--temperature", 0.5],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_every_option_of_sampling_changes_the_text(charlstm, prose, options):
    """Compared with the text without the last option."""
    plain = ["generate", prose, "-n", 400, "--seed", 5, "-t", 1.4, "--min-p", 0, "-q"]
    result = charlstm(*plain, *options)
    assert result.status == 0
    assert result.out != charlstm(*plain, *options[:-2]).out


def test_every_option_of_sampling_is_tried():
    """By the test above."""
    (mark,) = test_every_option_of_sampling_changes_the_text.pytestmark
    tried = {options[-2] for options in mark.args[1]}
    (heading,) = {p.heading for p in command.params if "--top-k" in p.opts}
    params = [p for p in command.params if getattr(p, "heading", "") == heading]
    assert {parameter.opts[-1] for parameter in params} == tried


def test_a_banned_text_is_not_written(charlstm, names):
    options = ["-c", 50, "--seed", 1, "-q"]
    assert "na" in charlstm("generate", names, *options).out
    result = charlstm("generate", names, *options, "--ban", "na", "--ban", "b")
    assert result.status == 0
    assert "na" not in result.out
    assert "b" not in result.out


def test_a_bias_makes_likelier(charlstm, names):
    options = ["-c", 50, "--seed", 1, "-q", "--bias"]
    result = charlstm("generate", names, *options, "mir=+9")
    assert result.status == 0
    assert result.out.count("mir") > charlstm("generate", names, *options, "mir=-9").out.count(
        "mir"
    )


@pytest.mark.parametrize(
    ("bias", "parts"),
    [
        ("na", ["na", "love=+2"]),
        ("=2", ["=2", "love=+2"]),
        ("na=x", ["na=x", "love=+2"]),
        ("na=nan", ["na=nan", "from -1,000 to 1,000"]),
        ("na=1001", ["na=1001", "from -1,000 to 1,000"]),
    ],
)
def test_a_malformed_bias_is_misuse(charlstm, names, bias, parts):
    assert_misuse(charlstm("generate", names, "--bias", bias), "--bias", *parts)


@pytest.mark.parametrize(
    ("option", "needed"),
    [
        ("--mirostat-rate", "--mirostat"),
        ("--loop-length", "--loop-penalty"),
        ("--loop-base", "--loop-penalty"),
        ("--loop-window", "--loop-penalty"),
        (
            "--repetition-window",
            "--repetition-penalty, --presence-penalty or --frequency-penalty",
        ),
    ],
)
def test_an_option_without_the_one_it_is_for_is_misuse(charlstm, prose, option, needed):
    result = charlstm("generate", prose, "-n", 5, option, 1)
    assert_error(result, 2, option, needed)
