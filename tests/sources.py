"""The modules of the package and their imports, found by reading the source."""

from __future__ import annotations

import ast
from pathlib import Path

import charlstm

PACKAGE = Path(charlstm.__file__).parent

# The first of these imports TensorFlow. The others use it.
NEED_TENSORFLOW = {
    *("network.backend", "network.states", "network.lstm", "network.attention", "network.model"),
    "distributed.replicas",
    *(
        "training.optimizers",
        "training.step",
        "training.averaging",
        "training.penalty",
        "training.resume_tensors",
        "training.learner",
    ),
    "training.trainer",
    "evaluation.dynamic_evaluator",
}


def name_of(path: Path) -> str:
    """Return the name of a module below ``charlstm``, such as ``corpus.lines`` or ``corpus``."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(name: str) -> str:
    """Return the folder of a module, or the module itself if it is in none."""
    return name.partition(".")[0]


SOURCES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = sorted(set(SOURCES) - {""})


def imports_of(source: str, *, only_on_import: bool = False) -> tuple[set[str], set[str]]:
    """Return the modules of the package that a module imports, and the foreign packages.

    Imports for type checkers don't count. With ``only_on_import``, imports within functions don't
    count either.
    """
    found, foreign = set(), set()
    nodes = list(ast.parse(source).body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes += node.orelse
        elif isinstance(node, ast.Import):
            for alias in node.names:
                found.add(alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}".removeprefix("charlstm.")
                found.add(f"charlstm.{inside}" if inside in SOURCES else node.module)
        elif not only_on_import or not isinstance(node, ast.FunctionDef | ast.Lambda):
            nodes += ast.iter_child_nodes(node)
    own = {name.removeprefix("charlstm.") for name in found if name.startswith("charlstm.")}
    foreign = {name.partition(".")[0] for name in found} - {"charlstm"}
    return own, foreign


IMPORTS = {name: imports_of(path.read_text()) for name, path in SOURCES.items()}
ON_IMPORT = {
    name: imports_of(path.read_text(), only_on_import=True) for name, path in SOURCES.items()
}
