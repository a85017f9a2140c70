"""All exceptions that charlstm raises for its users.

    CharlstmError              exit 1: the run failed
    ├── UsageError             exit 2: the request itself is wrong
    │   └── ConfigError        a setting out of its range
    ├── CorpusError            a corpus that is missing, empty, binary, undecodable or too short
    │   └── CorpusChanged      it is not the one that the run began with
    ├── CheckpointError        a checkpoint that can't be read or must not be written
    │   ├── CheckpointMissing  there is none, or a file of it is missing
    │   ├── CheckpointDamaged  truncated, altered, or its parts contradict each other
    │   ├── CheckpointTooNew   written by a later charlstm
    │   ├── CheckpointExists   there is one already
    │   └── CheckpointBusy     another process is training into it
    ├── TrainingError          training can't continue (a loss that is not finite, a lost worker)
    ├── GenerationError        no text, or not enough texts, meet the conditions
    ├── OutOfMemory            the model or the request is too large for this machine
    └── StorageError           the disk is full, read-only or not permitted

A message is one sentence: which input, what is wrong with it, what was expected, what to do. Names
and contents of files may be hostile, so that messages escape characters that control a terminal.
This module does not know the command line beyond the exit status.
"""

from __future__ import annotations

from charlstm.unicode_text import has_surrogates


class CharlstmError(Exception):
    """Base of all errors a user can cause; ``str()`` of it is the whole message.

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

    Control characters, characters that change the direction of text, and lone surrogates are
    escaped. The result is cut after ``most`` characters.
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
    """The request itself is wrong, whatever the files contain."""

    exit_status = 2


class ConfigError(UsageError):
    """A setting out of its range, or settings that contradict each other."""


class CorpusError(CharlstmError):
    """A corpus that can't be read or can't be trained on."""


class CorpusChanged(CorpusError):
    """A corpus that is not the one that a run began with."""


class CheckpointError(CharlstmError):
    """A checkpoint that can't be read or must not be written."""


class CheckpointMissing(CheckpointError):
    """There is no checkpoint, or one of its files is missing."""


class CheckpointDamaged(CheckpointError):
    """A checkpoint whose files are truncated, altered or contradict each other."""


class CheckpointTooNew(CheckpointError):
    """A checkpoint in a format that this version does not know yet."""


class CheckpointExists(CheckpointError):
    """The folder for a new checkpoint contains one, or the file for an exported model exists."""


class CheckpointBusy(CheckpointError):
    """Another process is training into the folder."""


class TrainingError(CharlstmError):
    """Training can't continue."""


class GenerationError(CharlstmError):
    """No text, or not enough texts, meet the conditions."""


class OutOfMemory(CharlstmError):
    """The model or the request is too large for this machine."""


class StorageError(CharlstmError):
    """The file system refused: full, read-only, no permission, gone."""
