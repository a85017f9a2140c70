"""Collects notes for the user about a text, such as skipped files or a guessed encoding.

The modules that find and read text add notes, and commands print them. A text is read several
times, but each note is printed once. Like errors, notes name arguments in backticks; they have no
final period; the command line adds ``Note:`` and the period.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from charlstm.config import DocumentUnit
from charlstm.errors import CharlstmError

# The most names that a note lists.
_NAMED = 3


class Notes:
    """Notes on a text, in the order in which they were found, each once.

    Attributes:
        encodings: the encoding of each file that was decoded, by file name.
        lacks_delimiter: whether no line of the inspected text equals the delimiter.

    >>> notes.add("skipped 12 blank lines")
    >>> notes.sentences
    ('skipped 12 blank lines',)
    """

    def __init__(self) -> None:
        self._added: dict[str, None] = {}
        self.encodings: dict[str, str] = {}
        self.lacks_delimiter = False
        self._skipped: dict[str, str] = {}
        self._guessed: dict[str, str] = {}
        self._html: dict[str, None] = {}
        self._blank: dict[DocumentUnit, dict[str, int]] = {}
        self._copies = [0, 0]  # documents and files
        self._undivided: dict[str, str] = {}
        self._returned: set[str] = set()

    def add(self, sentence: str) -> None:
        """Add a sentence."""
        self._added[sentence] = None

    def skip(self, files: dict[str, str]) -> None:
        """Note that files are skipped.

        Args:
            files: by file name, what the file is, with an article.
        """
        self._skipped.update(files)

    def guess(self, name: str, encoding: str) -> None:
        """Note that the encoding of a file was guessed."""
        self._guessed[name] = encoding

    def html(self, name: str) -> None:
        """Note that a file is HTML."""
        self._html[name] = None

    def blank(self, name: str, count: int, unit: DocumentUnit) -> None:
        """Note the number of blank lines or records of a text that were left out."""
        self._blank.setdefault(unit, {})[name] = count

    def copies(self, count: int, *, files: bool = False) -> None:
        """Note the number of documents (or files) that were left out as copies of earlier ones."""
        self._copies[files] = count

    def undivided(self, name: str, delimiter: str) -> None:
        """Note that no line of a text equals the delimiter."""
        self._undivided[name] = delimiter

    def take(self, other: Notes) -> None:
        """Add all notes about another text."""
        self._added |= other._added
        self._skipped |= other._skipped
        self._guessed |= other._guessed
        self._html |= other._html
        self._copies = [
            mine + theirs for mine, theirs in zip(self._copies, other._copies, strict=True)
        ]
        for unit, counts in other._blank.items():
            self._blank[unit] = self._blank.get(unit, {}) | counts
        self._undivided |= other._undivided

    @property
    def added(self) -> tuple[str, ...]:
        """The notes that were added as sentences."""
        return tuple(self._added)

    def untold(self) -> list[str]:
        """Return the notes that no earlier call has returned."""
        new = [sentence for sentence in self.sentences if sentence not in self._returned]
        self._returned.update(new)
        return new

    @contextlib.contextmanager
    def kept_by_errors(self) -> Iterator[None]:
        """Attach the notes to an error that the body raises."""
        try:
            yield
        except CharlstmError as error:
            for sentence in self.sentences:
                error.add_note(sentence)
            raise

    @property
    def sentences(self) -> tuple[str, ...]:
        """All notes so far, each a sentence without a final period."""
        found = []
        if self._skipped:
            count = len(self._skipped)
            files = "1 file" if count == 1 else f"{count:,} files"
            found.append(f"skipped {files}: {what_files_are(self._skipped)}")
        for encoding in dict.fromkeys(self._guessed.values()):
            names = [name for name, guess in self._guessed.items() if guess == encoding]
            verb = "is" if len(names) == 1 else "are"
            found.append(f"{_named(names)} {verb} read as {encoding} (detected)")
        if self._html:
            found.append(
                f"HTML is read with its tags ({_named(list(self._html))}). Remove them with pandoc "
                "-f html -t plain"
            )
        found.extend(
            what_is_left_out(sum(counts.values()), unit)
            for unit, counts in self._blank.items()
            if any(counts.values())
        )
        if copies := sum(self._copies):
            found.append(
                "skipped 1 copy of an earlier document"
                if copies == 1
                else f"skipped {copies:,} copies of earlier documents"
            )
        for delimiter in dict.fromkeys(self._undivided.values()):
            names = [name for name, each in self._undivided.items() if each == delimiter]
            found.append(
                f"no line equals the delimiter {delimiter!r}, so each file is one document: "
                f"{_named(names)}"
            )
        return (*found, *self._added)


def what_is_left_out(blank: int, unit: DocumentUnit) -> str:
    """Return the note on the number of lines or records that were left out as blank."""
    name, rest = ("blank line", "") if unit == "line" else ("record", " without text")
    return f"skipped {blank:,} {name}{'' if blank == 1 else 's'}{rest}"


def what_files_are(skipped: dict[str, str]) -> str:
    """List the first few skipped files with what they are, and count the others."""
    return _named([f"{name} ({what})" for name, what in skipped.items()])


def _named(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
