"""``charlstm export``: one file for other programs."""

import json
import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.engine.onnx_runtime import onnxruntime
from tests.messages import assert_error, assert_misuse


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_an_onnx_file_with_the_name_of_the_checkpoint(charlstm, words, tmp_path, precision):
    result = charlstm("export", words, "--precision", precision)
    assert result == (0, "model.onnx\n", "")
    assert files(tmp_path) == ["model.onnx"]
    session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map["charlstm"])
    found = read_checkpoint(words)
    assert told["vocabulary"] == list(found.tokenizer.pieces)
    assert (told["level"], told["model"]["units"]) == ("word", 16)
    assert str(words.parent) not in json.dumps(told)
    assert str(words.parent).encode() not in Path("model.onnx").read_bytes()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_keras_file(charlstm, names, sentence, tmp_path):
    from charlstm.network.backend import keras

    result = charlstm("export", names, "--format", "keras", "-o", "names.keras")
    assert result.status == 0
    assert result.out == "names.keras\n"
    sentence(result.err.removesuffix("\n"), "TensorFlow", ".keras")
    assert files(tmp_path) == ["names.keras"]
    assert keras.models.load_model("names.keras").count_params() == (
        read_checkpoint(names).config.model.parameters
    )
    quiet = charlstm("export", names, "--format", "keras", "-q")
    assert quiet == (0, "model.keras\n", "")


def test_json_tells_what_was_written(charlstm, prose):
    result = charlstm("export", prose, "--json", "-o", "a b.onnx")
    assert (result.status, result.err) == (0, "")
    assert json.loads(result.out) == {
        "file": "a b.onnx",
        "format": "onnx",
        "precision": "float32",
        "bytes": Path("a b.onnx").stat().st_size,
        "parameters": read_checkpoint(prose).config.model.parameters,
    }


def test_a_small_checkpoint_is_used_as_the_large_one(charlstm, names, tmp_path):
    result = charlstm("export", names, "--format", "checkpoint", "--json")
    assert (result.status, result.err) == (0, "")
    written = json.loads(result.out)
    assert (written["file"], written["precision"]) == ("model-8bit", "int8")
    assert written["bytes"] == sum(path.stat().st_size for path in Path("model-8bit").iterdir())
    assert files(tmp_path / "model-8bit") == [
        "config.json",
        "history.jsonl",
        "lines.safetensors",
        "model.safetensors",
        "tokenizer.json",
    ]
    large, small = read_checkpoint(names), read_checkpoint(Path("model-8bit"))
    assert (small.config.weights, small.figures) == ("int8", large.figures)
    for command in (
        ("generate", "-c", 3, "--seed", 1, "--novel"),
        ("info",),
        ("predict", "-p", "An"),
        ("export", "-o", "again.onnx"),
        ("export", "--format", "checkpoint", "-o", "again"),
    ):
        assert charlstm(command[0], "model-8bit", *command[1:]).status == 0, command
    taken = charlstm("export", names, "--format", "checkpoint")
    assert_error(taken, 1, "model-8bit", "-o", "--overwrite")
    again = ("export", names, "--format", "checkpoint", "--overwrite")
    assert charlstm(*again) == (0, "model-8bit\n", "")
    assert (tmp_path / "again/model.safetensors").stat().st_size == (
        tmp_path / "model-8bit/model.safetensors"
    ).stat().st_size


def test_a_small_checkpoint_does_not_replace_a_file(charlstm, prose, tmp_path):
    (tmp_path / "text").write_bytes(b"somebody's")
    command = ("export", prose, "--format", "checkpoint", "-o", "text")
    assert_error(charlstm(*command), 1, "text", "folder", "-o")
    assert_error(charlstm(*command, "--overwrite"), 1, "text", "folder", "-o")
    assert (tmp_path / "text").read_bytes() == b"somebody's"


def test_without_a_checkpoint_the_newest_is_exported(charlstm, prose, tmp_path):
    assert_error(charlstm("export"), 1, "CHARLSTM_CHECKPOINT", "checkpoints/")
    shutil.copytree(prose, tmp_path / "checkpoints" / "plays")
    assert charlstm("export") == (0, "plays.onnx\n", "")


def test_the_name_of_a_checkpoint_one_stands_in(charlstm, prose, tmp_path, monkeypatch):
    shutil.copytree(prose, tmp_path / "plays")
    monkeypatch.chdir(tmp_path / "plays")
    assert charlstm("export", ".") == (0, "plays.onnx\n", "")


def test_an_existing_file_is_kept_unless_told(charlstm, prose, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"somebody's")
    assert_error(charlstm("export", prose), 1, "model.onnx", "-o", "--overwrite")
    assert (tmp_path / "model.onnx").read_bytes() == b"somebody's"
    assert charlstm("export", prose, "--overwrite") == (0, "model.onnx\n", "")
    assert (tmp_path / "model.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "status", "parts"),
    [
        (["nowhere"], 1, ["nowhere", "charlstm models"]),
        (["model", "--format", "keras", "--precision", "int8"], 2,
         ["--precision int8", "--format keras"]),
        (["model", "--format", "checkpoint", "--precision", "float32"], 2,
         ["--precision float32", "--format checkpoint"]),
        (["model", "--format", "checkpoint", "-o", "model"], 2, ["model", "-o"]),
        (["model", "--format", "keras", "-o", "a.h5"], 2, ["Keras", "a.h5", ".keras"]),
        (["model", "-o", "a.keras"], 2, ["a.keras", "--format keras"]),
        (["model", "-o", "none/a.onnx"], 1, ["none/a.onnx", "folder"]),
    ],
)  # fmt: skip
def test_refusals(charlstm, prose, tmp_path, arguments, status, parts):
    (tmp_path / "model").symlink_to(prose)
    assert_error(charlstm("export", *arguments), status, *parts)
    assert files(tmp_path) == ["model"]


@pytest.mark.parametrize("arguments", [["model", "--format", "pickle"], ["model", "-o", ""]])
def test_misuse(charlstm, prose, tmp_path, arguments):
    (tmp_path / "model").symlink_to(prose)
    assert_misuse(charlstm("export", *arguments))
    assert files(tmp_path) == ["model"]
