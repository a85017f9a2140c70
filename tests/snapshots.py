"""Files of full messages for people to review, under the name of each case.

    ## the name of a case
    the messages

``pytest --update-snapshots`` writes them again.
"""

from __future__ import annotations

import difflib
from pathlib import Path

HEAD = "## "


def read(path: Path) -> dict[str, str]:
    """Return the text under each name in a file; empty if there is no file."""
    if not path.exists():
        return {}
    _, *blocks = ("\n" + path.read_text(encoding="utf-8")).split("\n" + HEAD)
    cases = (block.partition("\n") for block in blocks)
    return {name: said.strip("\n") for name, _, said in cases}


def write(path: Path, cases: dict[str, str]) -> None:
    """Write a file, or remove it if there are no cases."""
    if not cases:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rendered(cases), encoding="utf-8")


def rendered(cases: dict[str, str]) -> str:
    return "\n".join(f"{HEAD}{name}\n{said}\n" for name, said in cases.items())


def difference(path: Path, cases: dict[str, str]) -> str:
    """Return how a file would change, as a diff; empty if it would not."""
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        kept.splitlines(), rendered(cases).splitlines(), str(path), "present messages", lineterm=""
    )
    return "\n".join(lines)


def beside(test: Path) -> Path:
    """Return the path of the snapshots of a test module."""
    return test.parent / "snapshots" / f"{test.stem}.txt"


class Sentences:
    """The messages of one test with all its parameters, compared with its snapshot."""

    def __init__(self, path: Path, name: str, runs: int, update: bool) -> None:
        self.path, self.name, self.update = path, name, update
        self.runs_left = runs
        self.expected = read(path).get(name, "").splitlines()
        self.said: list[str] = []

    def check(self, text: str) -> None:
        if text not in self.said:
            self.said.append(text)
        if not self.update:
            known = "\n".join(self.expected) or "nothing"
            assert text in self.expected, f"{self.path} has under {self.name}:\n{known}"

    def finish_run(self) -> None:
        """After the last run, write the snapshot or assert that all of its messages occurred."""
        self.runs_left -= 1
        if self.runs_left:
            return
        if self.update:
            cases = read(self.path) | {self.name: "\n".join(self.said)}
            write(self.path, {name: said for name, said in sorted(cases.items()) if said})
            return
        left_over = [text for text in self.expected if text not in self.said]
        assert not left_over, f"{self.path} has under {self.name}, but not found: {left_over}"
