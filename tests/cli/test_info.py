"""``charlstm info``."""

import json
import shutil

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.checkpoint.schema import RESUME, Figures
from charlstm.checkpoint.writer import CheckpointWriter
from tests.cli.helpers import NAMES
from tests.messages import assert_error


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
