"""Files of full sentences, each under the name of its case, for people to read and to review.

    ## the name of a case
    what was said

``pytest --update-snapshots`` writes them anew.
"""

from __future__ import annotations

import difflib
from pathlib import Path

HEAD = "## "


def read(path: Path) -> dict[str, str]:
    """Return what a file has under each name; a file that is not there has nothing."""
    if not path.exists():
        return {}
    _, *blocks = ("\n" + path.read_text(encoding="utf-8")).split("\n" + HEAD)
    cases = (block.partition("\n") for block in blocks)
    return {name: said.strip("\n") for name, _, said in cases}


def write(path: Path, cases: dict[str, str]) -> None:
    """Write a file, or remove it where there is nothing to say."""
    if not cases:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(rendered(cases), encoding="utf-8")


def rendered(cases: dict[str, str]) -> str:
    return "\n".join(f"{HEAD}{name}\n{said}\n" for name, said in cases.items())


def difference(path: Path, cases: dict[str, str]) -> str:
    """Return how a file would change, nothing if it would not: no case is missing or left over."""
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = difflib.unified_diff(
        kept.splitlines(), rendered(cases).splitlines(), str(path), "what is told now", lineterm=""
    )
    return "\n".join(lines)


def beside(test: Path) -> Path:
    """Return where the sentences of a test module lie."""
    return test.parent / "snapshots" / f"{test.stem}.txt"


class Sentences:
    """What one test says, with all its parameters, compared with its snapshot."""

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
        """After the last run, write the snapshot or assert that all of it was said."""
        self.runs_left -= 1
        if self.runs_left:
            return
        if self.update:
            cases = read(self.path) | {self.name: "\n".join(self.said)}
            write(self.path, {name: said for name, said in sorted(cases.items()) if said})
            return
        left_over = [text for text in self.expected if text not in self.said]
        assert not left_over, f"{self.path} has under {self.name} what is not said: {left_over}"
