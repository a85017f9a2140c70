"""``charlstm export``: one file for other programs."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.checkpoint import read_checkpoint
from charlstm.onnx_runtime import onnxruntime


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
def test_a_keras_file(charlstm, names, tmp_path):
    from charlstm.backend import keras

    result = charlstm("export", names, "--format", "keras", "-o", "names.keras")
    assert result.status == 0
    assert result.out == "names.keras\n"
    assert result.err == "loading TensorFlow, which .keras files are written with\n"
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


def test_the_name_of_a_checkpoint_one_stands_in(charlstm, prose, tmp_path, monkeypatch):
    shutil.copytree(prose, tmp_path / "plays")
    monkeypatch.chdir(tmp_path / "plays")
    assert charlstm("export", ".") == (0, "plays.onnx\n", "")


def test_an_existing_file_is_kept_unless_told(charlstm, prose, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"somebody's")
    assert charlstm("export", prose) == (
        1,
        "",
        "Error: model.onnx is there already: choose another name with -o, or replace it with "
        "--overwrite\n",
    )
    assert (tmp_path / "model.onnx").read_bytes() == b"somebody's"
    assert charlstm("export", prose, "--overwrite") == (0, "model.onnx\n", "")
    assert (tmp_path / "model.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere"], 1, "there is no checkpoint nowhere: check the path"),
        (["model", "--format", "keras", "--precision", "int8"], 2,
         "--precision int8 is for ONNX: leave it out or choose --format onnx"),
        (["model", "--format", "keras", "-o", "a.h5"], 2,
         "Keras opens no file named a.h5: let -o end in .keras"),
        (["model", "-o", "a.keras"], 2,
         "a.keras is a name for Keras: add --format keras, or let -o end in .onnx"),
        (["model", "-o", "none/a.onnx"], 1,
         "can't write none/a.onnx: its folder is not there: create it or name another place"),
    ],
)  # fmt: skip
def test_refusals(charlstm, prose, tmp_path, arguments, status, message):
    (tmp_path / "model").symlink_to(prose)
    assert charlstm("export", *arguments) == (status, "", f"Error: {message}\n")
    assert files(tmp_path) == ["model"]


@pytest.mark.parametrize("arguments", [["model", "--format", "pickle"], ["model", "-o", "."], []])
def test_misuse(charlstm, prose, tmp_path, arguments):
    (tmp_path / "model").symlink_to(prose)
    result = charlstm("export", *arguments)
    assert (result.status, result.out) == (2, "")
    assert re.search(r"^Error: ", result.err, re.MULTILINE)
    assert files(tmp_path) == ["model"]


def test_an_onnx_file_is_written_without_tensorflow(words, tmp_path):
    program = (
        "import sys\n"
        "from charlstm.cli import run_command_line\n"
        f"status = run_command_line(['export', {str(words)!r}])\n"
        "print(status, {'tensorflow', 'keras'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "model.onnx\n0 set()\n"
