"""Tests of lazy imports: nothing heavy for help and completion, TensorFlow only for training."""

import pytest

from charlstm.cli.app import COMMANDS
from tests.processes import modules_loaded_by, modules_loaded_by_command
from tests.sources import MODULES, NEED_TENSORFLOW

TENSORFLOW = {"tensorflow", "keras"}
HEAVY = TENSORFLOW | {"onnx", "onnxruntime", "safetensors"}
BEHIND_HELP = HEAVY | {"numpy", "tqdm"}
BEHIND_THE_GROUP = BEHIND_HELP | {"msgspec", "charlstm.config", "charlstm.cli.options"}

# For each command, a command line that imports the most without needing TensorFlow.
WITHOUT_TENSORFLOW = [
    "inspect TEXT",
    "train TEXT --dry-run",
    "generate MODEL -n 5 --show-probs --json",
    "generate MODEL -n 5 --beam 2",
    "generate MODEL -n 5 --match .* --unique --against TEXT",
    "predict MODEL the",
    "fill MODEL the___fox",
    "score MODEL TEXT",
    "score MODEL TEXT --whole",
    "evaluate MODEL TEXT --sample 5 --against TEXT --against-sample 50",
    "rank MODEL TEXT",
    "look MODEL -o FOLDER/page.html",
    "plot MODEL",
    "plot MODEL -o FOLDER/curves.svg",
    "models",
    "info MODEL",
    "info MODEL --markdown",
    "export MODEL -o FOLDER/model.onnx",
    "corpora",
    "cache",
]


@pytest.fixture
def folder(tmp_path):
    """A folder with all that completion looks at in a checkpoint."""
    (tmp_path / "checkpoints" / "names").mkdir(parents=True)
    (tmp_path / "checkpoints" / "names" / "config.json").touch()
    return tmp_path


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_the_group_imports_no_command(option):
    modules = modules_loaded_by_command(option)
    assert not modules & BEHIND_THE_GROUP
    assert not modules & {f"charlstm.cli.{name}" for name in COMMANDS}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command):
    assert not modules_loaded_by_command(command, "--help") & BEHIND_HELP


@pytest.mark.parametrize(
    "words", ["", "generate ", "generate names --", "train --", "train --level "]
)
def test_completion_imports_nothing_heavy(folder, words):
    variables = {
        "_CHARLSTM_COMPLETE": "bash_complete",
        "COMP_WORDS": f"charlstm {words}",
        "COMP_CWORD": str(len(words.split()) + 1 - words.endswith("-")),
    }
    assert not modules_loaded_by_command(folder=folder, **variables) & BEHIND_HELP


def test_every_command_is_covered():
    assert {line.split()[0] for line in WITHOUT_TENSORFLOW} == {*COMMANDS}


@pytest.mark.parametrize("line", WITHOUT_TENSORFLOW)
def test_only_training_imports_tensorflow(prose, tmp_path, line):
    (tmp_path / "text").write_text("the quick brown fox\n" * 20)
    paths = {"MODEL": prose, "TEXT": tmp_path / "text", "FOLDER": tmp_path}
    words = [str(paths.get(word, word)).replace("FOLDER", str(tmp_path)) for word in line.split()]
    assert not modules_loaded_by_command(*words, folder=tmp_path) & TENSORFLOW


def test_opening_a_text_imports_no_optional_module():
    modules = modules_loaded_by("import charlstm.corpus.documents")
    assert not modules & {"tempfile", "charset_normalizer"}


# From Python


def test_a_corpus_imports_nothing_slow():
    modules = modules_loaded_by("import charlstm.corpus.documents")
    assert not modules & {"statistics", "fractions", "numpy", *HEAVY}


def test_importing_the_package_costs_nothing():
    modules = modules_loaded_by("import charlstm")
    assert "charlstm" in modules
    assert not modules & {"numpy", "msgspec", "click", *HEAVY}
    assert {name for name in modules if name.startswith("charlstm.")} <= {"charlstm.version"}


def test_importing_the_modules_without_tensorflow_imports_nothing_heavy():
    others = NEED_TENSORFLOW | {"engine.onnx_runtime", "__main__"}
    light = [name for name in MODULES if name not in others]
    modules = modules_loaded_by("\n".join(f"import charlstm.{name}" for name in light))
    assert {f"charlstm.{name}" for name in light} <= modules
    assert not modules & HEAVY


def test_naming_the_loader_of_keras_models_does_not_import_keras():
    assert not modules_loaded_by("from charlstm import load_keras_model") & TENSORFLOW
