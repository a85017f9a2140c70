"""Finds the sources that an address names: files, folders, glob patterns, stdin, embedded text.

An address goes in, sources come out. This module reads only the first bytes of a folder's files, to
skip binary ones. It does not know documents.
"""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import os
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charlstm.config import TextFormat
from charlstm.corpus.catalog import fetch, find_entry
from charlstm.corpus.notes import Notes, what_files_are
from charlstm.corpus.reading import (
    ADDRESSES,
    EMBEDDED,
    STDIN,
    STDIN_NAME,
    STRINGS,
    EmbeddedSource,
    Source,
    SpooledStrings,
    unreadable_error,
)
from charlstm.corpus.table_source import as_table
from charlstm.errors import CorpusError, UsageError, harmless

# The files of a checkpoint, and those by which its folder is known. ``checkpoint.schema`` comes
# after this package; a test compares them.
CHECKPOINT_FILES = frozenset(
    {
        "config.json",
        "tokenizer.json",
        "model.safetensors",
        "history.jsonl",
        "resume.safetensors",
        "stdin.txt",
        "lines.safetensors",
    }
)
_CONFIG, _OTHERS = "config.json", ("tokenizer.json", "model.safetensors", "resume.safetensors")


def display_name(address: str) -> str:
    """Return the name of an address that may go into a model that is passed on.

    A relative address is returned as it is. An absolute one, or one that leads out of the working
    folder, is reduced to its last name, since the folders before it are private.
    """
    path = Path(address)
    shown = path.name if path.is_absolute() or ".." in path.parts else address
    return shown or address


def is_checkpoint(address: str | Path) -> bool:
    """Whether an address is the folder of a checkpoint, which is no text."""
    return os.path.isfile(os.path.join(address, _CONFIG)) and any(
        os.path.isfile(os.path.join(address, name)) for name in _OTHERS
    )


class FileChoice(NamedTuple):
    """Which files of a folder are read, and how.

    Attributes:
        text_format: of all files; ``auto`` tells tables by their names.
        include: patterns of which a file has to match one, if there are any.
        exclude: patterns of which it must not match any. A pattern with a slash is that of a path
            within the folder, ``**`` being any folders; others are those of a name. A file matches
            if it or a folder that it is in does.
    """

    text_format: TextFormat = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: Path, folder: str) -> bool:
        """Whether a file of a folder is read."""
        parts = path.relative_to(folder).parts

        def match(patterns: tuple[str, ...]) -> bool:
            return any(_is_within(parts, pattern.rstrip("/")) for pattern in patterns)

        return (not self.include or match(self.include)) and not match(self.exclude)

    @property
    def words(self) -> str:
        """The patterns in words, for a message."""
        named = [("--include", self.include), ("--exclude", self.exclude)]
        given = " ".join(f"{option} {each!r}" for option, patterns in named for each in patterns)
        return f" by {given}" if given else ""


def _is_within(parts: Sequence[str], pattern: str) -> bool:
    """Whether a pattern matches a path, given by its parts, or a folder on it."""
    if "/" not in pattern:
        return any(fnmatch.fnmatchcase(part, pattern) for part in parts)
    wanted = pattern.lstrip("/").split("/")
    return any(_matches(parts[:end], wanted) for end in range(1, len(parts) + 1))


ALL = FileChoice()


def find_sources(
    address: str,
    encoding: str,
    stdin: Path | None,
    notes: Notes | None = None,
    *,
    choice: FileChoice = ALL,
    as_before: bool = False,
) -> Iterable[Source]:
    """Return the sources of an address.

    Args:
        address: what the user named.
        encoding: the encoding of the text.
        stdin: the spooled standard input or strings.
        notes: is told which files are skipped.
        choice: which files of a folder are read, and in which format.
        as_before: whether files are chosen as for training by the rules 1 (see ``Division``): those
            of checkpoints too, and of the others in a folder all that have no NUL byte.

    Raises:
        CorpusError: if it names nothing that can be read as text, or a checkpoint.
        UsageError: if it is ``-`` and ``stdin`` is not given.
    """
    notes = notes or Notes()
    found = _found(address, encoding, stdin, notes, choice, as_before=as_before)
    if as_before or choice.text_format == "text":
        return found
    return (as_table(source, choice.text_format, encoding, notes) for source in found)


def _found(
    address: str,
    encoding: str,
    stdin: Path | None,
    notes: Notes,
    choice: FileChoice,
    *,
    as_before: bool,
) -> Iterable[Source]:
    if address == STDIN:
        return [_spooled(stdin)]
    if address == STRINGS and stdin is not None:
        return [SpooledStrings("text", stdin)]
    if os.path.isfile(address):
        return [_source(Path(address))]
    if address == EMBEDDED:
        return [_embedded()]
    if os.path.isdir(address):
        return _folder(address, encoding, notes, choice, as_before=as_before)
    if (entry := find_entry(address)) is not None:
        return [_source(fetch(entry))]
    if paths := _glob(address):
        if as_before:
            return map(_source, paths)
        skipped: dict[str, str] = {}
        if found := list(map(_source, _without_checkpoints(paths, skipped))):
            notes.skip(skipped)
            return found
        raise _checkpoint_error(str(paths[0].parent))
    raise _not_found_error(address)


def without_copies(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources without files that have the same content as an earlier one."""
    known: dict[Hashable, Source] = {}
    for source in sources:
        known.setdefault(source.digest() if type(source) is Source else source, source)
    return tuple(known.values())


def _source(path: Path) -> Source:
    return Source(harmless(str(path)), path)


def _spooled(stdin: Path | None) -> Source:
    if stdin is None:
        raise UsageError(f"{STDIN} stands for standard input, which is not given: name a file")
    if not os.path.isfile(stdin):
        raise CorpusError(f"{stdin} is not a regular file: restore it, or train again")
    return Source(STDIN_NAME, stdin)


def _embedded() -> Source:
    spec = importlib.util.find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        raise CorpusError(f"{EMBEDDED} is missing from this Python: name a file of your own")
    return EmbeddedSource(EMBEDDED, Path(spec.origin))


def _folder(
    address: str, encoding: str, notes: Notes, choice: FileChoice, *, as_before: bool
) -> list[Source]:
    if is_checkpoint(address) and not as_before:
        raise _checkpoint_error(address)
    try:
        paths = sorted(path for path in _walk(address) if choice.takes(path, address))
    except RecursionError:
        raise CorpusError(
            f"{address} holds folders that lie too deep in one another: name the files themselves"
        ) from None
    skipped: dict[str, str] = {}
    text = []
    chosen = paths if as_before else _without_checkpoints(paths, skipped)
    for source in map(_source, chosen):
        if found := source.what_else(encoding, as_before=as_before):
            skipped[source.name] = found.name
        else:
            text.append(source)
    notes.skip(skipped)
    if not text:
        lacks = f"without text files{choice.words}"
        if choice.words and not skipped:
            raise CorpusError(f"{address} is a folder {lacks}: change or leave out the patterns")
        if skipped:
            lacks = f"whose files can't be read as they are, {what_files_are(skipped)}"
        raise CorpusError(f"{address} is a folder {lacks}: name {ADDRESSES}")
    return text


def _without_checkpoints(paths: Iterable[Path], skipped: dict[str, str]) -> Iterator[Path]:
    """Yield paths but for the files of checkpoints, which are added to those that are skipped."""
    known: dict[Path, bool] = {}
    for path in paths:
        if path.name in CHECKPOINT_FILES:
            if path.parent not in known:
                known[path.parent] = is_checkpoint(path.parent)
            if known[path.parent]:
                skipped[harmless(str(path))] = "of a checkpoint"
                continue
        yield path


def _checkpoint_error(address: str) -> CorpusError:
    return CorpusError(f"{address} is a checkpoint, not a text: name a file or folder with text")


def _walk(folder: str) -> Iterator[Path]:
    """Yield the files below a folder, following links, each folder once, without hidden names."""
    seen: set[tuple[int, int]] = set()
    for here, folders, files in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        status = os.stat(here)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(here, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if os.path.isfile(path))


def _raise_unreadable(error: OSError) -> None:
    raise unreadable_error(str(error.filename), error) from error


def _glob(pattern: str) -> list[Path]:
    """Return the files that a pattern matches; "**" uses ``_walk``, since glob's may not end."""
    parts = pattern.split("/")
    if "**" not in parts:
        return [Path(name) for name in sorted(glob.glob(pattern)) if os.path.isfile(name)]
    deep = parts.index("**")
    start = "/".join(parts[:deep]) + "/" if deep else "."
    return sorted(
        path
        for root in glob.glob(start)
        for path in _walk(root)
        if _matches(path.relative_to(root).parts, parts[deep:])
    )


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match a pattern in which "**" is any number of parts.

    All positions in the pattern that can be reached are tracked at once: backtracking would take
    time that grows exponentially with the number of "**".
    """
    positions = _skipping({0}, pattern)
    for part in parts:
        reached = {index for index in positions if pattern[index : index + 1] == ["**"]}
        reached |= {
            index + 1
            for index in positions - reached
            if index < len(pattern) and fnmatch.fnmatchcase(part, pattern[index])
        }
        positions = _skipping(reached, pattern)
    return len(pattern) in positions


def _skipping(positions: set[int], pattern: Sequence[str]) -> set[int]:
    """Return positions in a pattern, and those after a "**" that matches no part."""
    reached = set(positions)
    for index in sorted(positions):
        while pattern[index : index + 1] == ["**"]:
            index += 1
            reached.add(index)
    return reached


def _not_found_error(address: str) -> CorpusError:
    if glob.has_magic(address):
        folder = next((name for name in sorted(glob.glob(address)) if is_checkpoint(name)), None)
        if folder is not None:
            return _checkpoint_error(folder)
        return CorpusError(f"no file matches the pattern {address}: name {ADDRESSES}")
    try:
        os.stat(address)
    except OSError as error:
        return unreadable_error(address or "''", error)
    return CorpusError(f"{address} is not a regular file: pipe it in and name {STDIN} instead")
