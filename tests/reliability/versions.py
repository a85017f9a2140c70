"""Tests charlstm with other versions of Python, and at both ends of each dependency range.

    python -m tests.reliability.versions --end low python3.11 python3.13
    python -m tests.reliability.versions --end high python3.11 python3.12 python3.13
    python -m tests.reliability.versions --end high python3.12 -- tests/test_formats.py

For each Python that it finds, it creates a virtual environment in ``.venvs`` (about 2 GB, removed
afterwards unless ``--keep`` is given) and installs charlstm with its development tools. It runs the
end-to-end tests (train models, generate and score with them, read checkpoints of all formats,
resume one), and then the tests that are not slow, or those named after ``--``. At the high end it
also checks types. At the low end it doesn't, because the type hints of old packages differ. It
prints a table at the end. The exit status is 1 if anything failed.

``low`` installs the lower bound of each dependency, which is all that ``setup.cfg`` contains.
``high`` installs the newest version that pip selects. This program depends only on ``packaging``.
"""

from __future__ import annotations

import argparse
import configparser
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
VENVS = ROOT / ".venvs"
TOLD = ("tensorflow", "keras", "numpy", "onnxruntime", "safetensors", "msgspec", "click", "pytest")
END_TO_END = ("tests/test_formats.py", "tests/cli/test_generate.py", "tests/cli/test_score.py")
QUICK = ("-m", "not slow", "--numprocesses", "auto", "--maxprocesses", "4", "--dist", "loadfile")


def requirements(setup: str, extra: str = "dev") -> Iterator[Requirement]:
    """Yield the requirements in a ``setup.cfg``, including those of an extra.

    An extra may pin a package for its tests that charlstm needs anyway: only the first counts.
    """
    parser = configparser.ConfigParser()
    parser.read_string(setup)
    lines = parser["options"]["install_requires"] + parser["options.extras_require"][extra]
    found = [Requirement(line) for line in lines.splitlines() if line.strip()]
    first = {requirement.name: requirement for requirement in reversed(found)}
    yield from (requirement for requirement in found if first[requirement.name] is requirement)


def lower_bounds(wanted: Iterable[Requirement]) -> Iterator[str]:
    """Yield a pip constraint for each requirement with a lower bound."""
    for requirement in wanted:
        for bound in requirement.specifier:
            if bound.operator == ">=":
                yield f"{requirement.name}=={bound.version}"


def run(*command: str | Path, **options: bool) -> subprocess.CompletedProcess[str]:
    """Run a command in the root of the tree."""
    return subprocess.run(list(map(str, command)), cwd=ROOT, text=True, check=False, **options)


def made(python: str, end: str) -> Path:
    """Create a virtual environment with charlstm and return its Python."""
    folder = VENVS / f"{Path(python).name}-{end}"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    constraints = folder / "constraints.txt"
    text = (ROOT / "setup.cfg").read_text("utf-8")
    wanted = list(requirements(text))
    bounds = lower_bounds(wanted) if end == "low" else ()
    constraints.write_text("".join(f"{bound}\n" for bound in bounds), "utf-8")
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    own = folder / "bin" / "python"
    subprocess.run(
        [own, *install, "--constraint", constraints, "--editable", ".", *map(str, wanted)],
        cwd=ROOT,
        check=True,
    )
    return own


def installed(python: Path) -> str:
    """Return the versions that matter most, in one line."""
    program = (
        "import platform, importlib.metadata as m; print(f'Python {platform.python_version()}', "
        f"*(f'{{name}} {{m.version(name)}}' for name in {TOLD!r}), sep=', ')"
    )
    return run(python, "-c", program, capture_output=True).stdout.strip()


def tried(python: str, end: str, tests: list[str], *, keep: bool) -> tuple[str, bool]:
    """Test with one Python; return a table row and whether everything passed."""
    own = made(python, end)
    versions = installed(own)
    print(f"\n{end}: {versions}", flush=True)
    begin = time.monotonic()
    parts = {
        "end to end": ("-m", "pytest", *END_TO_END),
        "tests": ("-m", "pytest", *(tests or QUICK)),
    }
    if end == "high":
        parts["types"] = ("-m", "mypy")
    failed = [name for name, part in parts.items() if run(own, *part).returncode]
    if not keep:
        shutil.rmtree(own.parents[1])
    outcome = f"failed: {', '.join(failed)}" if failed else "passed"
    return f"{end:4}  {outcome}  {time.monotonic() - begin:.0f} s  {versions}", not failed


def main() -> int:
    """Test with each named Python that is found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--end", choices=("low", "high"), default="high")
    parser.add_argument("--keep", action="store_true", help="keep the virtual environments")
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    given = sys.argv[1:]
    at = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:at])
    found = [python for python in options.pythons if shutil.which(python)]
    for python in set(options.pythons) - set(found):
        print(f"{python}: not found, skipped")
    results = [tried(python, options.end, given[at + 1 :], keep=options.keep) for python in found]
    print("", *(line for line, _ in results), sep="\n")
    return 0 if results and all(passed for _, passed in results) else 1


if __name__ == "__main__":
    sys.exit(main())
