"""Old checkpoints load, generate and score as before, and their runs can be resumed.

The files in ``tests/data`` were written by old versions and are never regenerated (see its README).
``expected.json`` has their results at that time. The scores are also compared with a plain network
in float64.
"""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import msgspec
import numpy as np
import pytest

import charlstm
from charlstm.checkpoint.reader import (
    is_finished,
    read_checkpoint,
    read_config,
    read_history,
    read_lines_index,
)
from charlstm.checkpoint.schema import FORMAT, RESUME
from charlstm.cli.app import COMMANDS, run_command_line
from charlstm.corpus.documents import open_corpus
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.messages import assert_error
from tests.oracles import network

pytestmark = pytest.mark.filterwarnings("ignore::charlstm.UnknownCharacterWarning")

DATA = Path(__file__).parent / "data"
FORMATS = range(1, FORMAT + 1)
EXPECTED = {
    number: json.loads((DATA / f"format-{number}" / "expected.json").read_text("utf-8"))
    for number in FORMATS
}
CHECKPOINTS = [
    (number, path.parent.name)
    for number in FORMATS
    for path in sorted((DATA / f"format-{number}").glob("*/config.json"))
]

# The maximum difference of a log-probability between two CPUs, and the same after some training.
ROUNDING = 1e-4
ROUNDING_OF_TRAINING = 5e-3


def stored(number, name):
    return DATA / f"format-{number}" / name


def oracle_scores(checkpoint, texts):
    """Return the log-probability of each token of each text in float64."""
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    for text in texts:
        end = [END_OF_DOCUMENT] if config.corpus.division.within_files else []
        if config.corpus.normalize == "nfc":
            text = unicodedata.normalize("NFC", text)
        ids = np.array([END_OF_DOCUMENT, *tokenizer.encode(text), *end])
        logits, _ = network(config.model, checkpoint.weights, ids[None, :-1])
        values = logits[0] - np.log(np.exp(logits[0]).sum(axis=1, keepdims=True))
        yield values[np.arange(len(ids) - 1), ids[1:]]


def scores(model, texts):
    return [
        [token.log_probability for token in score.per_token]
        for score in model.score(*texts, per_token=True)
    ]


def assert_same_scores(found, expected, tolerance):
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=tolerance)


def test_each_format_has_every_kind():
    kinds = {"document", "words", "lines", "unfinished"}
    assert all(kinds <= {name for n, name in CHECKPOINTS if n == number} for number in FORMATS)
    assert all({"delimited", "whole"} <= {m for n, m in CHECKPOINTS if n == new} for new in (3, 4))
    assert {(4, "signs"), (6, "pieces"), (7, "small"), (8, "records")} <= set(CHECKPOINTS)
    assert {(n, name) for n in (10, 11) for name in ("both", "small-both")} <= set(CHECKPOINTS)
    for number, name in CHECKPOINTS:
        text = (stored(number, name) / "config.json").read_text("utf-8")
        assert json.loads(text)["format"] == number


@pytest.mark.parametrize(("number", "name"), CHECKPOINTS)
def test_scores_are_unchanged(number, name):
    expected = EXPECTED[number][name]
    model = charlstm.load(stored(number, name), precision="float32")
    found = scores(model, expected["texts"])
    assert_same_scores(found, expected["log_probabilities"], ROUNDING)
    assert_same_scores(found, oracle_scores(model.checkpoint, expected["texts"]), ROUNDING)
    small = charlstm.load(stored(number, name))
    for rough, score in zip(small.score(*expected["texts"]), found, strict=True):
        assert rough.log_probability == pytest.approx(sum(score), rel=0.01)


@pytest.mark.parametrize(("number", "name"), CHECKPOINTS)
def test_its_configuration_would_be_written_unchanged(number, name):
    """It has the same keys in the same order, even if fields have other names in the code."""
    folder = stored(number, name)
    before = json.loads((folder / "config.json").read_text("utf-8"))
    now = json.loads(msgspec.json.encode(read_config(folder)))
    if name == "first":  # written before some fields were added
        assert [key for key in now["train"] if key in before["train"]] == list(before["train"])
        assert now["train"] | before["train"] == now["train"]
    elif number == FORMAT:
        assert json.dumps(now) == json.dumps(before)
    else:  # written before these fields were added
        added = {"corpus": {}, "provenance": {}, "train": {}}
        if number < 5:
            added["train"] = {
                "beta_1": 0.9,
                "beta_2": 0.999,
                "token_dropout": 0.0,
                "activation_penalty": 0.0,
                "averages": False,
                "first_evaluation": None,
                "validated": None,
            }
        if number < 9:
            added["train"]["recurrent_dropout"] = 0.0
        attends = bool(before["model"].get("attention"))
        added["model"] = {"shifted_keys": not attends}
        if number < 10:
            added["model"] |= {"attention": 0, "bidirectional": False}
        if number < 8:
            added["corpus"] = {"format": "text", "include": [], "exclude": [], "dedupe": False}
        if number < 3:
            unit = "line" if before["corpus"].pop("lines") else "file"
            before["corpus"]["division"] = {"unit": unit, "delimiter": None, "rules": 1}
            added["corpus"]["normalize"] = "none"
            added["provenance"] = {"beginnings": "document", "ends": True, "frequency_loss": None}
        origin = before["provenance"]
        if number < 4:
            covers = "training" if origin["lines_sha256"] else None
            added["provenance"]["index_covers"] = covers
        renamed = {"train_lines": "indexed"}
        before["provenance"] = {renamed.get(key, key): value for key, value in origin.items()}
        if number < 8:
            before["corpus"]["division"] |= {"columns": [], "keep_breaks": False}
        for name, more in added.items():
            assert now[name] == before[name] | more
            assert number < 3 or [k for k in now[name] if k not in more] == list(before[name])
        if number < 7:
            assert now.pop("weights") == "float32"
        assert now | {name: before[name] for name in added} == before


@pytest.mark.parametrize(("number", "name"), CHECKPOINTS)
def test_generated_text_is_unchanged(number, name):
    """One spelled word of formats 1 and 2 differs, because such words now begin with a letter."""
    expected = EXPECTED[number][name]["written"]
    model = charlstm.load(stored(number, name), precision="float32")
    samples = model.generate(count=len(expected), seed=1, length=40)
    assert [sample.text for sample in samples] == expected


FILLED = [(number, name) for number, name in CHECKPOINTS if "filled" in EXPECTED[number][name]]


@pytest.mark.parametrize(("number", "name"), FILLED)
def test_gaps_are_filled_as_before(number, name, monkeypatch):
    """The words depend on both networks. Format 10 read all lines to their end."""
    model = charlstm.load(stored(number, name), precision="float32")
    assert model.checkpoint.backward is not None
    if number == 10:
        monkeypatch.setattr("charlstm.prediction.filler._MARGIN", 10.0)
        monkeypatch.setattr("charlstm.prediction.line_reading._SETTLED", 0.0)
    (found,) = model.fill("The baker ___ his door at noon.").gaps
    expected = EXPECTED[number][name]["filled"]
    assert [word.text for word in found] == [text for text, _ in expected]
    assert [word.probability for word in found] == pytest.approx(
        [probability for _, probability in expected], rel=1e-3
    )


@pytest.mark.parametrize(("number", "name"), CHECKPOINTS)
def test_its_history_and_its_lines_are_read(number, name):
    folder, losses = stored(number, name), EXPECTED[number][name]["valid_losses"]
    history = {str(figures.step): figures.valid_loss for figures in read_history(folder)}
    assert history == pytest.approx(losses, abs=1e-6)
    best = None if name == "whole" else min(history.values())
    assert read_checkpoint(folder).figures.valid_loss == best
    assert is_finished(folder) == (name != "unfinished")
    lines, division = read_lines_index(folder), read_config(folder).corpus.division
    if name in ("lines", "delimited", "signs", "records"):
        known = (folder.parent / "names.txt").read_text("utf-8").splitlines()
        if name == "delimited":
            text = unicodedata.normalize("NFC", (folder.parent / "recipes.txt").read_text("utf-8"))
            known = text.removesuffix("\n").split("\n====\n")
        if name == "signs":
            known = (folder.parent / "signs.txt").read_text("utf-8").splitlines()
        if name == "records":
            read = open_corpus([str(folder.parent / "records.csv")], division=division)
            known = [chunk.text for chunk in read.chunks()]
        known = set(known)
        if number < 4:  # without the validation lines
            assert 0.8 * len(known) < len(lines) < len(known)
        else:
            assert len(lines) == len(known)
        assert sum(line in lines for line in known) == len(lines)
        assert ("almoro" in lines) == (name == "lines" and number >= 4)  # held out
        assert "almorx" not in lines
    else:
        assert lines is None


@pytest.mark.parametrize("number", FORMATS)
def test_words_are_divided_as_before(number):
    """Older models read a vowel sign and its consonant as two tokens, as they were trained."""
    tokenizer = read_checkpoint(stored(number, "words")).tokenizer
    assert tokenizer.segmentation == (1 if number < 4 else 2)
    tokens = 2 if number < 4 else 4  # a cluster that the vocabulary lacks is spelled
    assert tokenizer.encode("\u0e17\u0e35").size == tokens


@pytest.mark.parametrize("number", FORMATS)
def test_an_unfinished_run_is_resumed_and_ends_as_before(number, tmp_path):
    folder, expected = tmp_path / "model", EXPECTED[number]["resumed"]
    shutil.copytree(stored(number, "unfinished"), folder)
    assert run_command_line(["train", "--resume", str(folder), "-q", "--threads", "1"]) == 0
    assert is_finished(folder)
    history = {str(figures.step): figures.valid_loss for figures in read_history(folder)}
    assert history == pytest.approx(expected["valid_losses"], abs=ROUNDING_OF_TRAINING)
    found = scores(charlstm.load(folder, precision="float32"), expected["texts"])
    assert_same_scores(found, expected["log_probabilities"], ROUNDING_OF_TRAINING)


@pytest.mark.parametrize(
    "arguments",
    [
        ("export", "OLD", "--format", "checkpoint", "-o", "new"),
        ("train", "text.txt", "--from", "OLD", "--steps", "2", "-q", "-o", "new"),
    ],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.parametrize("number", [10, 11])
def test_a_new_checkpoint_of_old_weights_has_their_keys(here, capsys, number, arguments):
    (here / "text.txt").write_text("the baker opens his door at noon\n" * 200)
    given = [str(stored(number, "both")) if word == "OLD" else word for word in arguments]
    assert run_command_line(given) == 0
    config = read_config(here / "new")
    assert config.format == FORMAT
    assert config.model.attention
    assert config.model.shifted_keys == (number == 11)
    assert run_command_line(["info", "new"]) == 0
    assert ("keys of format 10" in capsys.readouterr().out) == (number == 10)


# A later format, as every command sees it

USES = [
    *((name, "MODEL") for name in ("generate", "predict", "score", "rank", "evaluate", "info")),
    ("fill", "MODEL", "some ___"),
    ("look", "MODEL", "-o", "page.html"),
    ("plot", "MODEL"),
    ("export", "MODEL", "-o", "model.onnx"),
    ("export", "MODEL", "--format", "keras", "-o", "model.keras"),
    ("train", "--resume", "MODEL"),
    ("train", "text.txt", "--from", "MODEL", "-o", "more"),
]


def altered(folder, **changes):
    shutil.copytree(stored(FORMAT, "unfinished"), folder)
    config = json.loads((folder / "config.json").read_text()) | changes
    config = {key: value for key, value in config.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def outcome(arguments, here, capfd):
    (here / "text.txt").write_text("some text\n" * 100)
    given = ["model" if argument == "MODEL" else argument for argument in arguments]
    more = ["text.txt"] if given[0] in ("score", "rank", "evaluate") else []
    status = run_command_line([*given, *more])
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def test_every_command_that_reads_a_checkpoint_is_tried():
    assert {arguments[0] for arguments in USES} == set(COMMANDS) - {
        "inspect",
        "models",
        "corpora",
        "cache",
    }


@pytest.mark.parametrize("arguments", USES, ids=" ".join)
def test_every_command_reports_a_later_format(here, capfd, arguments):
    """The rest of the file may contain anything."""
    altered(here / "model", format=FORMAT + 1, model={"cells": "other"}, engine=[1], train=...)
    (here / "model" / RESUME).write_bytes(b"something new")
    before = sorted(here.rglob("*"))
    formats = [f"format {FORMAT + 1}", FORMAT]
    assert_error(outcome(arguments, here, capfd), 1, "model", *formats, "Upgrade charlstm")
    assert sorted(here.rglob("*")) == sorted([*before, here / "text.txt"])


@pytest.mark.parametrize("arguments", [USES[0], USES[-2], USES[-1]], ids=" ".join)
@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (..., "format is missing"),
        (0, "format: expected int >= 1"),
        (-1, "format: expected int >= 1"),
        (-(10**30), "format: expected int >= 1"),
        (1.5, "format: expected int, got float"),
        ("1", "format: expected int, got str"),
        (None, "format: expected int, got null"),
        (True, "format: expected int, got bool"),
        ([1], "format: expected int, got array"),
    ],
)
def test_a_format_that_is_not_a_number_is_damage(here, capfd, arguments, number, reason):
    altered(here / "model", format=number)
    result = outcome(arguments, here, capfd)
    assert_error(result, 1, "model/config.json", "damaged", reason, "Restore")
