"""``charlstm info``."""

import json
import shutil

import msgspec
import pytest

from charlstm.checkpoint.folder import lock_folder
from charlstm.checkpoint.reader import read_checkpoint, read_history
from charlstm.checkpoint.schema import HISTORY, MODEL, RESUME, Figures
from charlstm.checkpoint.writer import CheckpointWriter
from tests.cli.helpers import NAMES, TEXT
from tests.messages import assert_error, assert_names
from tests.training.test_outcome import DATA, STORED


def test_json_tells_all_that_is_known(charlstm, prose):
    result = charlstm("info", prose, "--json")
    assert (result.status, result.err) == (0, "")
    facts = json.loads(result.out)
    found = read_checkpoint(prose)
    assert facts["parameters"] == found.config.model.parameters
    assert facts["figures"]["valid_loss"] == found.figures.valid_loss
    assert facts["finished"] is True
    assert facts["tokenizer"] == {"level": "char", "vocab_size": found.tokenizer.vocab_size}
    assert facts["train"]["steps"] == 300


def test_the_table_names_the_main_figures(charlstm, prose, words):
    result = charlstm("info", prose)
    assert result.status == 0
    found = read_checkpoint(prose)
    assert f"{found.figures.valid_loss:.4f} nats per token" in result.out
    assert "1 x 16 LSTM, embedding 8" in result.out
    assert "state       finished" in result.out
    assert "tied output" in charlstm("info", words).out


def test_an_interrupted_run_without_its_state_is_not_finished(charlstm, prose, tmp_path):
    """As after Ctrl-C before the first evaluation, if ``resume.safetensors`` was removed."""
    found, folder = read_checkpoint(prose), tmp_path / "model"
    shutil.copytree(prose, folder)
    figures = Figures(step=6, epoch=0.1, tokens=6, seconds=1.0, learning_rate=0.1, train_loss=3.0)
    CheckpointWriter(folder).model(found.weights, figures)
    told = charlstm("info", folder).out
    assert "state       unfinished" in told
    assert RESUME in told
    assert json.loads(charlstm("info", folder, "--json").out)["finished"] is False
    result = charlstm("train", "--resume", folder)
    assert_error(result, 1, folder, "interrupted", RESUME, f"--from {folder}")


def test_whether_the_lines_are_known(charlstm, names, prose, tmp_path):
    count = read_checkpoint(names).config.provenance.indexed
    assert count == len(set(NAMES.split()))
    row = f"lines       hashes of {count} distinct lines (lines.safetensors)\n"
    assert row in charlstm("info", names).out
    assert json.loads(charlstm("info", names, "--json").out)["line_hashes"] == count
    assert "\nlines " not in charlstm("info", prose).out
    assert json.loads(charlstm("info", prose, "--json").out)["line_hashes"] is None
    shutil.copytree(names, tmp_path / "model")
    (tmp_path / "model" / "lines.safetensors").unlink()
    assert "lines       no hashes of the lines\n" in charlstm("info", "model").out


def test_no_checkpoint(charlstm):
    assert_error(charlstm("info", "nowhere"), 1, "nowhere", "path")


def test_a_name_that_is_too_long_for_the_file_system(charlstm):
    result = charlstm("info", "x" * 300)
    assert_error(result, 1, f"{'x' * 300}/config.json", "File name too long", "path")


# How the run ended


def rows(result):
    assert result.status == 0, result.err
    return {line[:12].strip(): line[12:] for line in result.out.splitlines()}


def stored_figures(folder, *figures):
    """Replace the history and the best figures of a checkpoint."""
    writer, found = CheckpointWriter(folder), read_checkpoint(folder)
    best = min(figures, key=lambda each: each.valid_loss)
    writer.model(found.weights, best)
    writer.history(figures)


@pytest.fixture
def model(prose, tmp_path):
    """A copy of a finished checkpoint."""
    shutil.copytree(prose, tmp_path / "model")
    return tmp_path / "model"


def test_a_finished_run(charlstm, prose):
    shown = rows(charlstm("info", prose))
    assert shown["state"] == "finished its 300 steps"
    assert shown["run"].startswith("300 steps, epoch ")
    assert shown["overfits"].startswith("no")
    run = json.loads(charlstm("info", prose, "--json").out)["run"]
    history = read_history(prose)
    assert list(run) == [
        "state", "stop_reason", "can_resume", "steps", "planned_steps", "epochs", "minutes",
        "planned_minutes", "best", "last", "overfits", "advice",
    ]  # fmt: skip
    assert (run["state"], run["stop_reason"], run["can_resume"]) == ("finished", "budget", False)
    assert (run["steps"], run["planned_steps"], run["planned_minutes"]) == (300, 300, None)
    assert run["minutes"] == pytest.approx(history[-1].seconds / 60)
    assert run["last"]["valid_loss"] == history[-1].valid_loss
    assert run["overfits"] is False
    assert shown["advice"] == run["advice"]


def test_a_run_that_stopped_early_and_overfits(charlstm, model):
    first, *_ = read_history(model)
    losses = [(1.2, 1.1), (1.3, 1.0), (1.4, 0.9), (1.5, 0.8), (1.6, 0.7), (1.7, 0.6)]
    stored_figures(model, *(
        msgspec.structs.replace(first, step=30 * n, valid_loss=valid, train_loss=train)
        for n, (valid, train) in enumerate(losses, 1)
    ))  # fmt: skip
    shown = rows(charlstm("info", model))
    assert_names(shown["state"], "stopped early", "5 evaluations", "--patience")
    assert shown["run"].startswith("180 of 300 steps, ")
    assert_names(shown["best"], "step 30", "loss 1.2000")
    assert_names(shown["overfits"], "yes", "step 30", "1.100 to 0.600", "1.200 to 1.700")
    assert_names(shown["advice"], "more text", "--dropout", "--size")
    assert json.loads(charlstm("info", model, "--json").out)["run"]["overfits"] is True


@pytest.mark.parametrize("format_number", range(1, 10))
def test_an_interrupted_run_of_any_format(charlstm, tmp_path, format_number):
    folder = tmp_path / "stopped"
    shutil.copytree(DATA / f"format-{format_number}" / "unfinished", folder)
    shown = rows(charlstm("info", "stopped"))
    assert_names(shown["state"], "interrupted", "charlstm train --resume stopped")
    assert_names(shown["run"], "of", "steps")
    assert_names(shown["advice"], "charlstm train --resume stopped")
    run = json.loads(charlstm("info", "stopped", "--json").out)["run"]
    assert (run["state"], run["can_resume"]) == ("unfinished", True)
    assert 0 < run["steps"] < run["planned_steps"]
    with lock_folder(folder):
        assert_names(rows(charlstm("info", "stopped"))["state"], "training now", "another process")
    (folder / MODEL).unlink()  # as if it had been killed before its first evaluation
    shown = rows(charlstm("info", "stopped"))
    assert "best" not in shown
    assert shown["validation"] == "none yet"
    assert_names(shown["state"], "interrupted")
    assert json.loads(charlstm("info", "stopped", "--json").out)["run"]["best"] is None


def test_a_damaged_resume_file(charlstm, tmp_path):
    shutil.copytree(DATA / "format-9" / "unfinished", tmp_path / "stopped")
    (tmp_path / "stopped" / RESUME).write_bytes(b"{")
    shown = rows(charlstm("info", "stopped"))
    assert_names(shown["state"], "unfinished", "can't be resumed", RESUME, "damaged")
    assert_names(shown["advice"], "--from stopped")


@pytest.mark.parametrize("folder", STORED, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_checkpoint_of_any_format_without_its_history_says_less(charlstm, tmp_path, folder):
    shutil.copytree(folder, tmp_path / "old")
    whole = rows(charlstm("info", "old"))
    assert {"state", "run", "advice"} <= whole.keys()
    is_validated = folder.name != "whole"
    assert ("overfits" in whole) == is_validated
    (tmp_path / "old" / HISTORY).unlink()
    shown = rows(charlstm("info", "old"))
    assert "overfits" not in shown
    if folder.name != "unfinished":
        assert shown["state"] == "finished"
        assert ("run" in shown) != is_validated
    assert "ended" in charlstm("info", "old", "--markdown").out


# Several checkpoints


def columns(result):
    assert result.status == 0, result.err
    table = [line.split("  ") for line in result.out.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in table]
    return {label: values for label, *values in cells}


def test_two_checkpoints_side_by_side(charlstm, prose, words):
    shutil.copytree(prose, "prose")
    shutil.copytree(words, "words")
    result = charlstm("info", "prose", "words")
    shown = columns(result)
    assert shown["checkpoint"] == ["prose", "words"]
    assert shown["level"] == ["char", "word"]
    assert shown["steps"] == ["300", "300"]
    bits = [read_checkpoint(path).figures.valid_bits_per_character for path in (prose, words)]
    best = bits.index(min(bits))
    assert shown["bits/char"][best] == f"{min(bits):.4f}*"
    assert shown["bits/char"][1 - best] == f"{max(bits):.4f}"
    assert not any("*" in cell for cell in shown["loss"])
    assert "optimizer" in shown
    assert "seed" not in shown
    assert_names(result.err, "Note", "losses don't compare", "tokens", "Bits per character do")
    assert charlstm("info", "prose", "words", "-q").err == ""


def test_the_same_checkpoint_compares_with_its_copy(charlstm, prose):
    shutil.copytree(prose, "one")
    shutil.copytree(prose, "two")
    result = charlstm("info", "one", "two")
    assert "*" in columns(result)["loss"][0]
    assert_names(result.err, "Note", "same validation text", "same tokens")


def test_other_texts_do_not_compare(charlstm, prose, names):
    result = charlstm("info", prose, names)
    assert "*" not in result.out
    assert_names(result.err, "Note", "don't compare", "validation texts differ", "--models")
    found = json.loads(charlstm("info", prose, names, "--json").out)
    assert found["comparable"] == {"loss": False, "bits_per_character": False}
    one = json.loads(charlstm("info", prose, "--json").out)
    assert found["models"][0] == one
    assert [each["checkpoint"] for each in found["models"]] == [str(prose), str(names)]


def test_checkpoints_of_all_formats_side_by_side(charlstm):
    assert len(columns(charlstm("info", *STORED))["level"]) == len(STORED)


def test_an_unvalidated_checkpoint_has_no_loss_to_compare(charlstm, prose, tmp_path):
    (tmp_path / "text").write_text(TEXT)
    options = "--units 16 --layers 1 --embedding 8 --streams 4 --steps 3 --valid-fraction 0 -q"
    assert charlstm("train", "text", "-o", "all", *options.split()).status == 0
    result = charlstm("info", prose, "all")
    assert_names(result.out.splitlines()[-1] and result.err, "not all have one", "--models")
    assert columns(result)["bits/char"][1] == "none"


def test_a_card_is_of_one_checkpoint(charlstm, prose, words):
    assert_error(charlstm("info", prose, words, "--markdown"), 2, "--markdown", "one checkpoint")
