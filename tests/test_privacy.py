"""Neither charlstm nor the libraries it uses write outside its folders."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import charlstm

PACKAGE = Path(charlstm.__file__).parent

# The module that imports each library with its traces disabled. All others import it from there.
GUARDS = {
    "onnxruntime": {"onnx_runtime"},
    "tensorflow": {"backend"},
    "keras": {"backend"},
    "matplotlib": {"curves"},
}

# A library that writes into the user's home when imported, as the real one writes a list of fonts.
MATPLOTLIB = 'from pathlib import Path\n(Path.home() / ".matplotlib").touch()\n'
TINY = "--units 8 --layers 1 --embedding 4 --streams 2 --sequence-length 8 --steps 4"
COMMANDS = {
    "generate": ("generate", "model", "-n", "5"),
    "predict": ("predict", "model", "the "),
    "fill": ("fill", "model", "the ___ fox"),
    "score": ("score", "model", "text.txt"),
    "evaluate": ("evaluate", "model", "text.txt"),
    "export": ("export", "model", "-o", "model.onnx"),
    "cache": ("cache",),
}
FROM_PYTHON = """
import charlstm

model = charlstm.load("model", precision="float32")
model.generate("the", length=3)
model.score("the")
model.predict("the")
"""
WITH_KERAS = """
import os, sys
import charlstm

charlstm.load_keras_model("model")
import keras

print(keras.config.floatx(), keras.config.backend(), os.environ["KERAS_HOME"])
assert "matplotlib" not in sys.modules
"""


class User:
    """A user with an empty home and a working folder elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.home, self.work, libraries = folder / "home", folder / "work", folder / "libraries"
        for path in (self.home, self.work, libraries / "matplotlib"):
            path.mkdir(parents=True)
        (libraries / "matplotlib" / "__init__.py").write_text(MATPLOTLIB)
        # Nothing else is set. Variables such as CI would keep ONNX Runtime from collecting data.
        self.variables = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join([str(libraries), str(PACKAGE.parent)]),
        }

    def run(self, *arguments: str, **variables: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.work,
            env=self.variables | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def traces(self) -> set[str]:
        """Return the files in the user's home that are not in the cache of charlstm."""
        files = [path.relative_to(self.home) for path in self.home.rglob("*") if path.is_file()]
        return {str(path) for path in files if path.parts[:2] != (".cache", "charlstm")}

    def folders(self) -> set[str]:
        """Return the folders in the user's home, and in its cache folder."""
        return {path.name for path in [*self.home.iterdir(), *self.home.glob(".cache/*")]}


@pytest.fixture(scope="module")
def user(tmp_path_factory):
    """A user who has just trained a model."""
    found = User(tmp_path_factory.mktemp("privacy"))
    (found.work / "text.txt").write_text("the quick brown fox jumps over the lazy dog.\n" * 40)
    found.run("-m", "charlstm", "train", "text.txt", "-o", "model", *TINY.split())
    return found


@pytest.mark.slow
def test_training_leaves_no_trace(user):
    assert user.traces() == set()
    assert user.folders() <= {".cache", "charlstm"}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_leaves_no_trace(user, command):
    user.run("-m", "charlstm", *COMMANDS[command])
    assert user.traces() == set()
    assert user.folders() <= {".cache", "charlstm"}


@pytest.mark.slow
def test_the_python_interface_leaves_no_trace(user):
    user.run("-c", FROM_PYTHON)
    assert user.traces() == set()
    assert user.folders() <= {".cache", "charlstm"}


@pytest.mark.slow
def test_keras_is_not_configured_by_files_of_the_user(user, tmp_path):
    settings = tmp_path / "keras.json"
    settings.write_text(json.dumps({"floatx": "float16", "backend": "jax"}))
    before = settings.read_text()
    told = user.run("-c", WITH_KERAS, KERAS_HOME=str(tmp_path))
    assert told.split() == ["float32", "tensorflow", str(tmp_path)]
    assert settings.read_text() == before
    assert os.listdir(tmp_path) == ["keras.json"]
    assert user.traces() == set()
    assert user.folders() <= {".cache", "charlstm"}


def imported(path: Path) -> set[str]:
    """Return the top-level modules that a file imports, anywhere in it."""
    found, nodes = set(), [ast.parse(path.read_text())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
        nodes += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("library", GUARDS)
def test_a_library_that_leaves_traces_is_imported_in_one_place(library):
    importing = {path.stem for path in PACKAGE.rglob("*.py") if library in imported(path)}
    assert importing == GUARDS[library]
