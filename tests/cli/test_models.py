"""``charlstm models``, and checkpoints named by their names."""

import json
import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint import names as naming
from charlstm.checkpoint.reader import read_checkpoint
from charlstm.cli import models
from tests.messages import assert_error


@pytest.fixture
def listed(prose, names, tmp_path, monkeypatch):
    """Two checkpoints of one's own, and a shipped one."""
    shipped = tmp_path / "elsewhere" / "shipped"
    monkeypatch.setattr(naming, "shipped_folder", lambda: shipped)
    shutil.copytree(prose, tmp_path / "checkpoints" / "plays")
    shutil.copytree(names, tmp_path / "checkpoints" / "people")
    shutil.copytree(prose, shipped / "english")


def test_the_list(charlstm, listed):
    result = charlstm("models")
    assert (result.status, result.err) == (0, "")
    heading, *rows = result.out.splitlines()
    assert heading.split()[:3] == ["name", "level", "network"]
    assert {row.split()[0] for row in rows} == {"plays", "people", "english"}
    (row,) = (row for row in rows if row.startswith("english"))
    assert "finished, shipped" in row
    assert "1 x 16" in row
    bits = read_checkpoint(Path("checkpoints/plays")).figures.valid_bits_per_character
    assert f"{bits:.3f}" in row


def test_a_shipped_model_whose_name_is_taken_is_listed_by_its_path(charlstm, listed, tmp_path):
    shutil.copytree("checkpoints/plays", "checkpoints/english")
    shipped = tmp_path / "elsewhere" / "shipped" / "english"
    listed = json.loads(charlstm("models", "--json").out)["models"]
    names = {each["name"]: each["shipped"] for each in listed}
    assert names == {"plays": False, "people": False, "english": False, str(shipped): True}
    assert charlstm("info", str(shipped)).status == 0


def test_json(charlstm, listed):
    result = charlstm("models", "--json")
    assert (result.status, result.err) == (0, "")
    listed = json.loads(result.out)["models"]
    bits = [each["bits_per_character"] for each in listed]
    assert bits == sorted(bits)
    (own,) = (each for each in listed if each["name"] == "people")
    assert own["folder"] == "checkpoints/people"
    assert (own["shipped"], own["state"], own["level"]) == (False, "finished", "char")
    assert own["bytes"] == Path("checkpoints/people/model.safetensors").stat().st_size


def test_nothing_and_what_is_damaged(charlstm, tmp_path, monkeypatch):
    monkeypatch.setattr(naming, "shipped_folder", lambda: tmp_path / "none")
    result = charlstm("models")
    assert (result.status, result.out) == (0, "")
    assert "charlstm train" in result.err
    Path("checkpoints/bad").mkdir(parents=True)
    Path("checkpoints/bad/config.json").write_text("{")
    result = charlstm("models")
    assert result.status == 0
    assert "damaged" in result.out
    assert result.err.startswith("checkpoints/bad/config.json is damaged (")
    assert charlstm("models", "-q").err == ""


@pytest.mark.parametrize(
    ("size", "shown"),
    [(4_755_000, "4.8"), (50_000, "0.1"), (49_000, "0.05"), (4_400, "0.004"), (930, "0.0009")],
)
def test_a_size_has_at_least_one_digit(size, shown):
    assert models._megabytes(size) == shown


def test_a_name_is_enough(charlstm, listed):
    assert charlstm("generate", "people", "--seed", 1, "-q").err == ""
    assert charlstm("score", "plays", stdin=b"To be").status == 0
    assert charlstm("info", "english").status == 0
    assert charlstm("generate", "english", "-n", 5, "--seed", 1).status == 0


def test_predict_takes_the_newest_if_the_prompt_is_an_option(charlstm, listed):
    named = charlstm("predict", "plays", "to be", "--json")
    option = charlstm("predict", "plays", "-p", "to be", "--json")
    assert option == named
    assert charlstm("predict", "-p", "to be").status == 0
    assert charlstm("predict", "plays", "-p", "-", "--json", stdin=b"to be\n") == named
    assert_error(charlstm("predict"), 2, "-p")
    assert_error(charlstm("predict", "plays", "to", "-p", "be"), 2, "PROMPT", "--prompt")


def test_a_model_card(charlstm, listed):
    result = charlstm("info", "plays", "--markdown")
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("# plays\n")
    found = read_checkpoint(Path("checkpoints/plays"))
    for part in (
        f"| parameters | {found.config.model.parameters:,}, stored as float32 |",
        f"| bits per character | {found.figures.valid_bits_per_character:.4f} |",
        "## Limits",
        "charlstm train my.txt --from plays",
    ):
        assert part in result.out, part
    assert charlstm("info", "--markdown").out.startswith("# p")
    assert_error(charlstm("info", "plays", "--markdown", "--json"), 2, "--markdown", "--json")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("model.onnx", ["exported", "checkpoint"]),
        ("model.keras", ["exported", "checkpoint"]),
        ("model.tar.gz", ["archive", "Unpack"]),
        ("model.zip", ["archive", "Unpack"]),
        ("nothing", ["nothing", "charlstm models"]),
        ("To be or", ["To be or", "charlstm models", "-p"]),
    ],
)
def test_what_is_no_checkpoint(charlstm, tmp_path, name, parts):
    if "." in name:
        (tmp_path / name).write_bytes(b"PK")
    assert_error(charlstm("generate", name), 1, *parts)


def test_a_path_to_nothing_is_not_taken_for_a_name(charlstm, listed):
    for written in ("./english", "english/", "./plays"):
        result = charlstm("info", written)
        assert_error(result, 1, written, "checkpoint", written.strip("./"))
    assert charlstm("info", "english").status == 0
