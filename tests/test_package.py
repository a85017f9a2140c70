"""Tests of the package as a whole: its names, its errors, its sizes and its imports."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections import defaultdict
from graphlib import TopologicalSorter

import pytest

import charlstm
from charlstm import errors
from tests.sources import (
    IMPORTS,
    MODULES,
    NEED_TENSORFLOW,
    ON_IMPORT,
    PACKAGE,
    SOURCES,
    imports_of,
    part_of,
)

# A part of the package imports only from the parts before it, both at the top and in functions.
ORDER = (
    *(
        "version",
        "unicode_text",
        "errors",
        "similar_names",
        "results",
        "validation",
        "config",
        "metrics",
        "arrays",
        "system",
        "tokenizer",
        "corpus",
        "dataset",
    ),
    *("checkpoint", "network", "distributed", "engine", "training", "generation", "prediction"),
    *("evaluation", "api", "export", "look", "curves", "cli", "__main__"),
)
PARTS_THAT_ARE_FOLDERS = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}


# Public names


def test_public_names_are_sorted_and_exist():
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


def test_other_names_do_not_exist():
    with pytest.raises(AttributeError) as caught:
        charlstm.no_such_name  # noqa: B018
    assert str(caught.value) == "module 'charlstm' has no attribute 'no_such_name'"


@pytest.mark.parametrize("name", SOURCES)
def test_every_module_has_a_docstring(name):
    assert ast.get_docstring(ast.parse(SOURCES[name].read_text()))


@pytest.mark.parametrize("part", sorted(PARTS_THAT_ARE_FOLDERS))
def test_a_folder_lists_its_modules_and_imports_nothing(part):
    tree = ast.parse((PACKAGE / part / "__init__.py").read_text())
    assert len(tree.body) == 1
    modules = {name.partition(".")[2] for name in MODULES if name.startswith(f"{part}.")}
    described = ast.get_docstring(tree)
    rows = re.findall(r"^    ([\w, ]+?)  +\S", described, re.MULTILINE)
    listed = {name for row in rows for name in row.split(", ")}
    assert listed <= modules
    assert part == "cli" or listed == modules


def test_no_two_classes_share_a_name():
    homes = defaultdict(list)
    for name, path in SOURCES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                homes[node.name].append(name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", SOURCES)
def test_modules_and_functions_are_short(name):
    source = SOURCES[name].read_text()
    assert len(source.splitlines()) <= (350 if part_of(name) == "cli" else 420)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


# Errors


def drawn_tree():
    """Read the tree in the docstring of ``errors``: {class: its base}."""
    tree, path = {}, {}
    for line in inspect.getdoc(errors).splitlines():
        if found := re.match(r"([ │├└─]*)(\w+)  +\S", line):
            indent, name = len(found[1]), found[2]
            path = {depth: above for depth, above in path.items() if depth < indent}
            root = "UserWarning" if name.endswith("Warning") else "Exception"
            tree[name] = path[max(path)] if path else root
            path[indent] = name
    return tree


def test_the_tree_of_errors_is_as_documented():
    defined = {
        name: [base.__name__ for base in kind.__bases__]
        for name, kind in vars(errors).items()
        if inspect.isclass(kind)
    }
    assert defined == {name: [base] for name, base in drawn_tree().items()}
    assert len(defined) > 10


def test_misuse_exits_with_2_and_everything_else_with_1():
    kinds = [getattr(errors, name) for name in drawn_tree() if not name.endswith("Warning")]
    assert len(kinds) > 10
    for kind in kinds:
        assert kind.exit_status == (2 if issubclass(kind, errors.UsageError) else 1)
        assert str(kind("what to do")) == "what to do"


# Imports


def test_every_part_has_its_place_in_the_order():
    assert sorted(ORDER) == sorted({part_of(name) for name in MODULES})


@pytest.mark.parametrize("name", MODULES)
def test_modules_import_only_from_parts_before_theirs(name):
    part = part_of(name)
    allowed = {*ORDER[: ORDER.index(part)], part}
    assert {part_of(imported) for imported in IMPORTS[name][0]} <= allowed


@pytest.mark.parametrize("part", ORDER)
def test_the_modules_of_a_part_do_not_import_each_other_in_a_circle(part):
    inside = {name for name in MODULES if part_of(name) == part}
    TopologicalSorter({name: IMPORTS[name][0] & inside for name in inside}).prepare()


def test_the_imports_of_a_module_are_seen():
    assert ON_IMPORT["corpus.documents"][0] >= {"errors", "corpus.sources"}
    assert ON_IMPORT["training.setup"][0] >= {"checkpoint.reader", "dataset.prepare"}
    assert ON_IMPORT["network.backend"][1] >= {"tensorflow", "keras"}
    assert "training.trainer" in IMPORTS["training.run"][0] - ON_IMPORT["training.run"][0]
    seen = imports_of("if TYPE_CHECKING:\n    import numpy\nfrom charlstm.corpus import reading\n")
    assert seen == ({"corpus.reading"}, set())


def test_the_checkpoint_package_depends_on_little():
    allowed = {
        "version",
        "unicode_text",
        "config",
        "errors",
        "arrays",
        "system",
        "tokenizer",
        "corpus",
        "checkpoint",
    }
    for name in MODULES:
        if part_of(name) == "checkpoint":
            assert {part_of(imported) for imported in IMPORTS[name][0]} <= allowed
    for name in ("bounded", "safetensors"):
        assert {part_of(imported) for imported in IMPORTS[f"checkpoint.{name}"][0]} <= {
            *("unicode_text", "errors", "system", "checkpoint")
        }


def test_metrics_import_nothing_of_the_package():
    assert IMPORTS["metrics"] == (set(), {"__future__", "math", "typing", "numpy"})


def test_few_modules_import_tensorflow():
    direct = {name for name, (_, foreign) in IMPORTS.items() if foreign & {"tensorflow", "keras"}}
    assert direct == {"network.backend"}
    reach, before = direct, set()
    while reach != before:
        before = reach
        reach = reach | {name for name, (own, _) in ON_IMPORT.items() if own & reach}
    assert reach == NEED_TENSORFLOW
