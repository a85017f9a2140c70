"""All exceptions that charlstm raises for its users.

    CharlstmError              exit 1: the run failed
    ├── UsageError             exit 2: the request itself is wrong
    │   └── ConfigError        a setting is out of range
    ├── CorpusError            the corpus is missing, empty, binary, undecodable or too short
    │   └── CorpusChanged      the corpus is not the one that the run started with
    ├── CheckpointError        the checkpoint can't be read, or must not be written
    │   ├── CheckpointMissing  there is no checkpoint, or one of its files is missing
    │   ├── CheckpointDamaged  it is truncated or altered, or its parts contradict each other
    │   ├── CheckpointTooNew   it was written by a later version of charlstm
    │   ├── CheckpointExists   the folder already contains a checkpoint
    │   └── CheckpointBusy     another process is training into the folder
    ├── TrainingError          training can't continue (the loss is not finite, a worker is lost)
    ├── GenerationError        no text, or not enough texts, meet the conditions
    ├── OutOfMemory            the model or the request is too large for this machine
    └── StorageError           the disk is full, read-only or not permitted

    CharlstmWarning              something to know, which the command line prints as a note
    └── UnknownCharacterWarning  a text has characters that were not in the training text

A message is one line: what was given, what is wrong with it, and at most one remedy, in short
sentences that end with a period. It begins with the thing that was given (a path, an argument, a
value) or with a lower-case phrase. Arguments of the library are in backticks, which the command
line prints as options: `` `min_length` `` becomes ``--min-length``. Backticks mean nothing else.

    nowhere.txt: no such file or folder. Give a file, a folder, a glob pattern, ...
    `min_length` (600) is greater than `length` (500).

Names and contents of files may be hostile, so messages escape characters that control a terminal.
"""

from __future__ import annotations

from charlstm.unicode_text import has_surrogates


class CharlstmError(Exception):
    """Base of all errors that a user can cause; ``str(error)`` is the whole message.

    >>> try:
    ...     model = charlstm.load("checkpoints/demo")
    ... except charlstm.CharlstmError as error:
    ...     sys.exit(f"error: {error}")
    """

    exit_status: int = 1

    def __str__(self) -> str:
        """Return the message on one line, with hostile characters escaped."""
        return harmless(super().__str__())


def harmless(text: str, most: int | None = None) -> str:
    """Return text of unknown origin in a form that is safe to print.

    Escape control characters, characters that change the direction of text, and lone surrogates.
    Cut the result after ``most`` characters.
    """
    beginning = text if most is None else text[: most + 1]
    if not (beginning.isascii() and beginning.isprintable()):
        beginning = "".join(_escaped(c) if _is_harmful(c) else c for c in beginning)
    return beginning if most is None or len(beginning) <= most else beginning[:most] + "…"


def _is_harmful(character: str) -> bool:
    return (
        character < " "
        or "\x7f" <= character <= "\x9f"
        or character in "\u061c\u200e\u200f"
        or "\u2028" <= character <= "\u202e"
        or "\u2066" <= character <= "\u2069"
        or has_surrogates(character)
    )


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode()


class UsageError(CharlstmError):
    """The request itself is wrong, independent of the contents of files."""

    exit_status = 2


class ConfigError(UsageError):
    """A setting is out of range, or settings contradict each other."""


class CorpusError(CharlstmError):
    """The corpus can't be read or can't be trained on."""


class CorpusChanged(CorpusError):
    """The corpus is not the one that the run started with."""


class CheckpointError(CharlstmError):
    """The checkpoint can't be read or must not be written."""


class CheckpointMissing(CheckpointError):
    """There is no checkpoint, or one of its files is missing."""


class CheckpointDamaged(CheckpointError):
    """The files of the checkpoint are truncated or altered, or contradict each other."""


class CheckpointTooNew(CheckpointError):
    """The checkpoint has a format that this version does not know yet."""


class CheckpointExists(CheckpointError):
    """The folder for a new checkpoint contains one, or the file to export a model to exists."""


class CheckpointBusy(CheckpointError):
    """Another process is training into the folder."""


class TrainingError(CharlstmError):
    """Training can't continue."""


class GenerationError(CharlstmError):
    """No text, or not enough texts, meet the conditions."""


class OutOfMemory(CharlstmError):
    """The model or the request is too large for this machine."""


class StorageError(CharlstmError):
    """The file system refused: it is full, read-only or gone, or permission is missing."""


class CharlstmWarning(UserWarning):
    """Something that the user should know, in Python; the command line prints a note instead."""


class UnknownCharacterWarning(CharlstmWarning):
    """A text has characters that were not in the training text of the model."""
