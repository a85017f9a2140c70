"""What a run could do better: start from a shipped model, or not from the one it was given."""

import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint import names as naming
from charlstm.checkpoint.schema import MODEL
from charlstm.training import familiarity, presets
from tests.cli.helpers import NAMES, TEXT
from tests.messages import assert_error, assert_warning

STRANGE = "QWERTZ UIOP! JKLM? " * 300


@pytest.fixture
def here(prose, tmp_path, monkeypatch):
    """A folder with a text that the shipped model knows, and one that it does not."""
    shipped = tmp_path / "elsewhere" / "shipped"
    monkeypatch.setattr(naming, "shipped_folder", lambda: shipped)
    shutil.copytree(prose, shipped / "english")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "known.txt").write_text(TEXT)
    (tmp_path / "strange.txt").write_text(STRANGE)
    (tmp_path / "names.txt").write_text(NAMES)
    return tmp_path


def told(charlstm, *arguments):
    result = charlstm("train", *arguments, "--dry-run")
    assert result.status == 0, result.err
    assert result.out == ""
    return result.err


def test_english_is_suggested_for_a_text_that_it_knows(charlstm, here):
    assert "--from english" in told(charlstm, "known.txt")
    assert not (here / "checkpoints").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("strange.txt",),
        ("names.txt", "--lines"),
        ("known.txt", "--quiet"),
        ("known.txt", "--units", 8),
        ("known.txt", "--size", "small"),
        ("known.txt", "--level", "char"),
        ("known.txt", "--level", "word"),
        ("known.txt", "--from", "english"),
    ],
)
def test_it_is_not_where_it_would_not_help_or_was_decided(charlstm, here, arguments):
    assert "--from english" not in told(charlstm, *arguments)


def test_it_is_not_if_the_name_means_another_model(charlstm, here, prose):
    shutil.copytree(prose, here / "checkpoints" / "english")
    assert "--from english" not in told(charlstm, "known.txt")


def test_a_damaged_model_is_not_suggested_and_not_complained_of(charlstm, here):
    (here / "elsewhere" / "shipped" / "english" / MODEL).write_bytes(b"x")
    assert "english" not in told(charlstm, "known.txt")
    assert_error(charlstm("train", "known.txt", "--from", "english"), 1, MODEL, "damaged")


def test_without_shipped_models_nothing_is_suggested(charlstm, here):
    shutil.rmtree(here / "elsewhere")
    assert "english" not in told(charlstm, "known.txt")


def test_the_plan_says_where_a_start_from_a_model_is_worse(charlstm, here, monkeypatch):
    for strange, more in ((2.0, "would learn more in"), (1e6, "may learn as much or more in")):
        monkeypatch.setattr(familiarity, "STRANGE", strange)
        line = told(charlstm, "strange.txt", "--from", "english")
        assert "times as badly as its own validation text" in line
        assert f"Without --from, the run {more} the same time" in line
    assert "ithout --from" not in told(charlstm, "known.txt", "--from", "english")


def test_there_is_one_piece_of_advice(charlstm, here, monkeypatch):
    """The start from a model comes first, then the level."""
    monkeypatch.setattr(presets, "better_level", lambda level, characters: "subword")
    for text, told_of in (("known.txt", "--from english"), ("strange.txt", "--level subword")):
        lines = told(charlstm, text).splitlines()
        notes = [line for line in lines if "learn" in line and "memorize" not in line]
        assert [told_of in note and note.startswith("Note: ") for note in notes] == [True]


def test_a_parent_whose_name_is_not_utf_8_is_refused(charlstm, here, prose):
    """Python represents such a name with lone surrogates, which the checkpoint can't record."""
    shutil.copytree(prose, "caf\udce9")
    result = charlstm("train", "known.txt", "--from", "caf\udce9", "--steps", 1)
    assert_error(result, 2, r"caf\udce9", "UTF-8", "Rename")


def test_a_run_may_be_begun_from_the_shipped_model(charlstm, here):
    result = charlstm("train", "known.txt", "--from", "english", "--steps", 2, "-q", "-o", "more")
    assert (result.status, result.out) == (0, "more\n")
    assert (Path("more") / MODEL).exists()


def test_a_model_that_only_got_worse_is_told_and_kept(charlstm, here, prose):
    options = ["--steps", 20, "--eval-every", 10, "--learning-rate", 3, "--warmup-steps", 0]
    result = charlstm("train", "known.txt", "--from", "english", *options, "-o", "more")
    assert (result.status, result.out) == (0, "more\n")
    assert_warning(result, "no evaluation was better", "english", "--learning-rate")
    assert charlstm("train", "known.txt", "--from", "english", *options, "-q").err == ""


def test_the_plan_names_the_parent_and_nothing_is_sampled_before_it_learns(charlstm, here):
    assert "more: from english, 1 x 16 LSTM" in told(
        charlstm, "known.txt", "--from", "english", "-o", "more"
    )
    result = charlstm("train", "strange.txt", "--from", "english", "--steps", 4, "-o", "more")
    assert result.err.index("step      0") < result.err.index("step      4")
    assert "|" not in result.err[: result.err.index("step      4")]


def test_a_parent_of_all_of_a_text_leaves_none_to_validate_which_is_told(charlstm, here):
    options = ["--units", 8, "--layers", 1, "--steps", 2, "-q", "--valid-fraction", 0]
    assert charlstm("train", "known.txt", *options, "-o", "whole").status == 0
    note = "whole was trained on all of this text"
    assert note in told(charlstm, "known.txt", "--from", "whole")
    assert note not in told(charlstm, "known.txt", "--from", "whole", "--valid-fraction", 0)
    assert note not in told(charlstm, "strange.txt", "--from", "whole")
