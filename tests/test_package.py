"""Tests of the package as a whole: its names, its errors, what imports what and at which cost."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import charlstm
from charlstm import errors

PACKAGE = Path(charlstm.__file__).parent

# A module imports only what stands before it; the modules of ``cli`` count as one.
ORDER = (
    *(
        "unicode_text",
        "errors",
        "config",
        "files",
        "cache",
        "processor",
        "cluster",
        "backend",
        "distribution",
    ),
    *("reading", "addresses", "corpus", "novelty", "tokenizer", "dataset", "preparation", "plan"),
    *("untrusted", "tensors", "checkpoint", "layers", "model", "optimization", "training", "run"),
    *(
        "onnx_runtime",
        "engine",
        "graphs",
        "penalties",
        "sampling",
        "automaton",
        "pattern",
        "endings",
    ),
    *(
        "constraints",
        "batch",
        "generation",
        "beam",
        "selection",
        "frontier",
        "grammar",
        "characters",
        "words",
        "prediction",
        "scoring",
    ),
    *("keyboard", "evaluation", "memorisation", "adaptation", "dynamic"),
    *("api", "export", "cli", "__main__"),
)
NEED_TENSORFLOW = {
    *("backend", "distribution", "layers", "model", "optimizers", "optimization"),
    *("training_state", "training", "adaptation"),
}
HEAVY = ("tensorflow", "keras", "onnx", "onnxruntime", "safetensors")


def stage_of(path):
    relative = path.relative_to(PACKAGE).with_suffix("")
    return "" if relative.name == "__init__" and len(relative.parts) == 1 else relative.parts[0]


SOURCES = sorted(PACKAGE.rglob("*.py"))
STAGES = sorted({stage_of(path) for path in SOURCES} - {""})


def loaded(program):
    """Run a program in a fresh interpreter; return the modules it has loaded in the end."""
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys\nprint(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


# Public names


def test_public_names_are_sorted_and_there():
    assert charlstm.__all__ == sorted(set(charlstm.__all__))
    for name in charlstm.__all__:
        assert getattr(charlstm, name).__name__ == name
    assert set(charlstm.__all__) <= set(dir(charlstm))


def test_public_names_are_those_that_type_checkers_see():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert sorted(seen) == charlstm.__all__
    for name, home in seen.items():
        assert getattr(charlstm, name) is getattr(importlib.import_module(home), name)


def test_other_names_are_not_there():
    with pytest.raises(AttributeError) as caught:
        charlstm.nothing  # noqa: B018
    assert str(caught.value) == "module 'charlstm' has no attribute 'nothing'"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


# Errors


def drawn_tree():
    """Read the tree in the docstring of ``errors``: {class: its base}."""
    tree, path = {}, {}
    for line in inspect.getdoc(errors).splitlines():
        if found := re.match(r"([ │├└─]*)(\w+)  +\S", line):
            indent, name = len(found[1]), found[2]
            path = {depth: above for depth, above in path.items() if depth < indent}
            tree[name] = path[max(path)] if path else "Exception"
            path[indent] = name
    return tree


def test_the_tree_of_errors_is_as_drawn():
    defined = {
        name: [base.__name__ for base in kind.__bases__]
        for name, kind in vars(errors).items()
        if inspect.isclass(kind)
    }
    assert defined == {name: [base] for name, base in drawn_tree().items()}
    assert len(defined) > 10


def test_misuse_exits_with_2_and_everything_else_with_1():
    for name in drawn_tree():
        kind = getattr(errors, name)
        assert kind.exit_status == (2 if issubclass(kind, errors.UsageError) else 1)
        assert str(kind("what to do")) == "what to do"


# Imports


def imports_of(path, package="charlstm"):
    """Return the stages that a module imports when it is imported itself."""
    found = set()
    nodes = list(ast.parse(path.read_text()).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= set(inside) if node.module == package else {node.module}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    own = {name.split(".")[1] for name in found if name.startswith(package + ".")}
    return own & set(STAGES), {name.split(".")[0] for name in found} - {package}


def test_every_stage_has_its_place():
    assert sorted(ORDER) == STAGES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_import_only_what_stands_before_them(path):
    stage = stage_of(path)
    before = set(ORDER[: ORDER.index(stage)]) if stage else set()
    allowed = before | ({"cli"} if stage == "cli" else set())
    assert imports_of(path)[0] <= allowed


def test_the_import_of_a_module_is_seen():
    assert imports_of(PACKAGE / "corpus.py")[0] >= {"errors"}
    assert imports_of(PACKAGE / "run.py")[0] >= {"checkpoint", "preparation"}
    assert imports_of(PACKAGE / "backend.py")[1] >= {"tensorflow", "keras"}


def test_a_checkpoint_depends_on_little():
    allowed = {"config", "errors", "files", "novelty", "tokenizer", "untrusted", "tensors"}
    assert imports_of(PACKAGE / "checkpoint.py")[0] <= allowed
    assert imports_of(PACKAGE / "tensors.py")[0] <= {"errors", "files", "untrusted"}
    assert imports_of(PACKAGE / "untrusted.py")[0] == {"errors"}


def test_tensorflow_is_imported_in_one_place_and_reached_from_few():
    reach = set()
    for stage in ORDER:
        paths = [path for path in SOURCES if stage_of(path) == stage]
        own, foreign = map(set().union, *map(imports_of, paths)) if paths else (set(), set())
        if foreign & {"tensorflow", "keras"}:
            assert stage == "backend"
            reach.add(stage)
        if own & reach:
            reach.add(stage)
    assert reach == NEED_TENSORFLOW


def test_importing_the_package_costs_nothing():
    modules = loaded("import charlstm")
    assert "charlstm" in modules
    assert not modules & {"numpy", "msgspec", "click", *HEAVY}
    assert not {name for name in modules if name.startswith("charlstm.")}


def test_importing_the_stages_without_tensorflow_imports_nothing_heavy():
    heavy = NEED_TENSORFLOW | {"onnx_runtime", "__main__"}
    stages = [stage for stage in ORDER if stage not in heavy]
    program = "\n".join(f"import charlstm.{stage}" for stage in stages)
    modules = loaded(program)
    assert {f"charlstm.{stage}" for stage in stages} <= modules
    assert not modules & set(HEAVY)


def test_naming_the_loader_of_keras_models_does_not_import_keras():
    assert not loaded("from charlstm import load_keras_model") & {"tensorflow", "keras"}
