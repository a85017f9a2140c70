"""What a user should know about a text that is read all the same.

The modules that find and read texts add notes; commands print the sentences. A text is read several
times, and says everything once. This module prints nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from charlstm.errors import CharlstmError

# Names that a sentence lists at most.
_NAMED = 3


class Notes:
    """Notes on a text, in the order in which they were found, each once.

    >>> notes.add("12 empty lines are skipped")
    >>> notes.sentences
    ('12 empty lines are skipped',)
    """

    def __init__(self) -> None:
        self._added: dict[str, None] = {}
        self._skipped: dict[str, str] = {}
        self._guessed: dict[str, str] = {}
        self._html: dict[str, None] = {}
        self._blank: dict[str, int] = {}
        self._undivided: dict[str, str] = {}
        self._told: set[str] = set()

    def add(self, sentence: str) -> None:
        """Add a sentence."""
        self._added[sentence] = None

    def skip(self, files: dict[str, str]) -> None:
        """Note that files are skipped: for each name what it is, with its article."""
        self._skipped.update(files)

    def guess(self, name: str, encoding: str) -> None:
        """Note that a file is read in an encoding that was guessed."""
        self._guessed[name] = encoding

    def html(self, name: str) -> None:
        """Note that a file is HTML."""
        self._html[name] = None

    def blank(self, name: str, lines: int) -> None:
        """Note how many blank lines of a text are left out."""
        self._blank[name] = lines

    def undivided(self, name: str, delimiter: str) -> None:
        """Note that no line of a text equals the delimiter that is to divide it."""
        self._undivided[name] = delimiter

    def take(self, other: Notes) -> None:
        """Add the notes on another text."""
        self._added |= other._added
        self._skipped |= other._skipped
        self._guessed |= other._guessed
        self._html |= other._html
        self._blank |= other._blank
        self._undivided |= other._undivided

    def untold(self) -> list[str]:
        """Return the sentences that no earlier call has returned."""
        new = [sentence for sentence in self.sentences if sentence not in self._told]
        self._told.update(new)
        return new

    @contextlib.contextmanager
    def kept_by_errors(self) -> Iterator[None]:
        """Add the notes to an error that is raised meanwhile."""
        try:
            yield
        except CharlstmError as error:
            for sentence in self.sentences:
                error.add_note(sentence)
            raise

    @property
    def sentences(self) -> tuple[str, ...]:
        """All notes so far."""
        found = []
        if self._skipped:
            count = len(self._skipped)
            files = "1 file" if count == 1 else f"{count:,} files"
            found.append(f"Skipped {files}: {what_files_are(self._skipped)}")
        for encoding in dict.fromkeys(self._guessed.values()):
            names = [name for name, guess in self._guessed.items() if guess == encoding]
            found.append(f"Guessed the encoding {encoding} for {_named(names)}")
        if self._html:
            found.append(
                f"HTML is read with its tags ({_named(list(self._html))}): to read its text alone, "
                "pipe it through pandoc -f html -t plain"
            )
        if blank := sum(self._blank.values()):
            found.append(what_is_left_out(blank))
        for delimiter in dict.fromkeys(self._undivided.values()):
            names = [name for name, each in self._undivided.items() if each == delimiter]
            found.append(
                f"No line equals the delimiter {delimiter!r}, so that each file is one document: "
                f"{_named(names)}"
            )
        return (*found, *self._added)


def what_is_left_out(blank: int) -> str:
    """Return how many lines are left out because they are blank."""
    return "1 blank line was left out" if blank == 1 else f"{blank:,} blank lines were left out"


def what_files_are(skipped: dict[str, str]) -> str:
    """Return a few names of files that are skipped, with what they are, and how many more are."""
    return _named([f"{name} ({what})" for name, what in skipped.items()])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
