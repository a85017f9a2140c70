"""``charlstm evaluate --models``: several models on one text."""

import json
import shutil

import pytest

from tests.cli.helpers import NAMES, TEXT
from tests.cli.test_completion import folder, in_bash, plain  # noqa: F401
from tests.messages import assert_error, assert_misuse, assert_names

SAME_TEXT = "a sleepy fox quips over the lazy dog; the dog sleeps\n" * 6


@pytest.fixture
def models(prose, words, pieces, tmp_path):
    """Three models of different levels, in the folder of the test, and a text."""
    for name, path in {"prose": prose, "words": words, "pieces": pieces}.items():
        shutil.copytree(path, tmp_path / name)
    (tmp_path / "text").write_text(SAME_TEXT)
    return ["prose", "words", "pieces"]


def table(result):
    assert result.status == 0, result.err
    head, *rows = [line.split() for line in result.out.splitlines()]
    return head, {row[0]: row[1:] for row in rows}


def test_every_model_has_the_figures_it_has_alone(charlstm, models):
    options = ["--sample", 20, "--seed", 3, "--json", "-q"]
    found = json.loads(charlstm("evaluate", "--models", *models, "--", "text", *options).out)
    assert list(found) == ["models", "best"]
    for name, level, each in zip(models, ["char", "word", "subword"], found["models"], strict=True):
        alone = json.loads(charlstm("evaluate", name, "text", *options).out)
        assert each == {"checkpoint": name, "level": level} | alone
    best = min(found["models"], key=lambda each: each["bits_per_character"])
    assert found["best"] == best["checkpoint"]


def test_the_best_is_marked(charlstm, models):
    result = charlstm("evaluate", "--models", *models, "--", "text", "--sample", 20)
    head, rows = table(result)
    assert " ".join(head) == (
        "model level bits/char ppl/word top 1 top 3 top 5 keystrokes saved unknown"
    )
    assert list(rows) == models
    found = json.loads(charlstm("evaluate", "--models", *models, "--", "text", "--json", "-q").out)
    for each in found["models"]:
        mark = "*" * (each["checkpoint"] == found["best"])
        assert rows[each["checkpoint"]][1] == f"{each['bits_per_character']:.4f}{mark}"
    assert_names(result.err, "Note", "any level", "* marks the best")
    head, rows = table(charlstm("evaluate", "--models", *models, "--", "text", "--sample", 0, "-q"))
    assert head == ["model", "level", "bits/char", "ppl/word", "unknown"]


def test_options_may_be_before_and_after_the_list(charlstm, models):
    expected = charlstm("evaluate", "--models", *models, "--", "text", "-q", "--sample", 0)
    for arguments in (
        ["-q", "--sample", 0, "--models", *models, "--", "text"],
        ["--sample", 0, "--models", *models, "--", "-q", "text"],
        ["--sample", 0, "-q", f"--models={models[0]}", *models[1:], "--", "text"],
        ["--sample", 0, "-q", "--models", *models, "--", "--", "text"],
    ):
        assert charlstm("evaluate", *arguments) == expected
    piped = ["--sample", 0, "-q", "--models", *models, "--", "-"]
    assert charlstm("evaluate", *piped, stdin=SAME_TEXT.encode()).out == expected.out


def test_a_model_that_can_not_represent_the_text(charlstm, models, tmp_path):
    (tmp_path / "other").write_text(SAME_TEXT + "ÄÄé")
    result = charlstm("evaluate", "--models", "prose", "words", "--", "other", "--sample", 0)
    _, rows = table(result)
    assert [row[-1] for row in rows.values()] == ["3", "3"]
    warnings = [line for line in result.err.splitlines() if line.startswith("Warning")]
    for name, warning in zip(["prose", "words"], warnings, strict=True):
        assert_names(warning, name, "0.9%", "2 × 'Ä'", "a little unfair")


def test_a_model_that_lacks_much_of_the_text_is_not_the_best(charlstm, models, tmp_path):
    """It reads unknown tokens instead, which are easy to predict."""
    (tmp_path / "other").write_text("the lazy dog\n" + "0123456789" * 200)
    (tmp_path / "digits").write_text("0123456789 the lazy dog\n" * 300)
    options = "--units 16 --layers 1 --embedding 8 --streams 4 --steps 3 -q"
    assert charlstm("train", "digits", "-o", "known", *options.split()).status == 0
    arguments = ["evaluate", "--models", "prose", "known", "--", "other", "--sample", 0]
    result = charlstm(*arguments)
    _, rows = table(result)
    assert rows["known"][1].endswith("*")
    assert not rows["prose"][1].endswith("*")
    assert_names(result.err.splitlines()[0], "Warning", "prose", "99.4%", "unfair")
    assert json.loads(charlstm(*arguments, "--json").out)["best"] == "known"


def test_models_that_divide_texts_differently(charlstm, models, names, tmp_path):
    shutil.copytree(names, tmp_path / "names")
    (tmp_path / "list").write_text(NAMES)
    arguments = ["evaluate", "--models", "prose", "names", "--", "list", "--sample", 0]
    result = charlstm(*arguments)
    assert_names(result.err.splitlines()[-1], "names reads each line", "prose reads each file")
    assert "reads each" not in charlstm(*arguments, "--paragraphs").err


def test_dynamic_figures_compare_on_the_whole_text(charlstm, models):
    arguments = ["evaluate", "--models", "prose", "words", "--", "text", "--sample", 0, "--dynamic"]
    result = charlstm(*arguments, "--dynamic-tokens", 40)
    head, rows = table(result)
    assert head[4:6] == ["dynamic", "bits/char"]
    assert not any(row[3].endswith("*") for row in rows.values())
    assert_names(result.err.splitlines()[-1], "Note", "--dynamic-tokens 0")
    result = charlstm(*arguments, "--dynamic-tokens", 0)
    assert sum(row[3].endswith("*") for row in table(result)[1].values()) == 1
    assert "--dynamic-tokens" not in result.err


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--models", "prose", "words", "text"], ["--models", "--", "FILE"]),
        (["--models"], ["--models", "--", "FILE"]),
        (["--models", "--", "text"], ["--models", "two checkpoints"]),
        (["--models", "prose", "--", "text"], ["--models", "two checkpoints"]),
        (["--models", "prose", "-q", "words", "--", "text"], ["-q", "--models", "after --"]),
        (["--models", "prose", "--models", "words", "--", "text"], ["--models", "checkpoints"]),
    ],
)
def test_misuse_of_the_list(charlstm, models, arguments, parts):
    assert_misuse(charlstm("evaluate", *arguments), *parts)


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["--models", "prose", "words", "--"], 2, ["FILE"]),
        (["--models", "prose", "nowhere", "--", "text"], 1, ["nowhere", "no such checkpoint"]),
        (["--models", "prose", "words", "--", "text", "--against", "text"], 2,
         ["--against", "--models"]),
        (["--models", "prose", "words", "--", "text", "--dynamic-rate", 1], 2, ["--dynamic"]),
        (["--models", "prose", "words", "--", "nothing"], 1, ["nothing", "no such file"]),
        (["words", "--models", "prose", "words", "--", "text"], 1, ["words is a checkpoint"]),
        (["prose", "words", "text"], 1, ["words", "--models prose words -- FILE"]),
        (["prose", "--", "--models"], 1, ["--models", "no such file"]),
    ],
)  # fmt: skip
def test_what_can_not_be_compared(charlstm, models, arguments, status, parts):
    assert_error(charlstm("evaluate", *arguments), status, *parts)


def test_one_model_is_evaluated_as_before(charlstm, models):
    plainly = charlstm("evaluate", "prose", "text", "--sample", 0)
    assert charlstm("evaluate", "--sample", 0, "--", "prose", "text") == plainly
    assert plainly.out.startswith("loss ")


def test_a_shell_completes_the_list_and_the_files(folder):  # noqa: F811
    offered = plain("checkpoints/names", "checkpoints/plays")
    assert ("plain", "--models") in in_bash(folder, "evaluate", "--")
    assert in_bash(folder, "evaluate", "--models", "") == offered
    assert in_bash(folder, "evaluate", "--models", "checkpoints/names", "") == offered
    assert in_bash(folder, "evaluate", "--models", "a", "b", "--", "") == [("file", "")]


def test_a_text_that_was_learned_is_known(charlstm, models, tmp_path):
    (tmp_path / "tale").write_text(TEXT, newline="")
    found = charlstm("evaluate", "--models", *models, "--", "tale", "--json", "-q", "--sample", 0)
    assert all(each["bits_per_character"] < 1 for each in json.loads(found.out)["models"])
