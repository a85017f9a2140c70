"""Finds the sources that an address names: files, folders, glob patterns, stdin, known texts.

Only the first bytes of the files in a folder are read, to skip binary ones.
"""

from __future__ import annotations

import fnmatch
import glob
import importlib.util
import os
import shlex
from collections.abc import Hashable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from charlstm.config import TextFormat
from charlstm.corpus.catalog import fetch, find_entry
from charlstm.corpus.notes import Notes, what_files_are
from charlstm.corpus.reading import (
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

# The files of a checkpoint, and below those by which its folder is recognized. They repeat
# ``checkpoint.schema``, which this package must not import; a test compares them.
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
    """Return the name of an address to record in a model, which may be published.

    A relative address is returned unchanged. An absolute address, or one that leads out of the
    working folder, is reduced to its last part, since the folders before it are private.
    """
    path = Path(address)
    shown = path.name if path.is_absolute() or ".." in path.parts else address
    return shown or address


def is_checkpoint(address: str | Path) -> bool:
    """Return whether an address is the folder of a checkpoint, which is not text."""
    return os.path.isfile(os.path.join(address, _CONFIG)) and any(
        os.path.isfile(os.path.join(address, name)) for name in _OTHERS
    )


class FileChoice(NamedTuple):
    """Which files of a folder are read, and how.

    A pattern with a slash is matched against the path within the folder, where ``**`` stands for
    any number of folders. Other patterns are matched against names. A file matches if it, or a
    folder that contains it, does.

    Attributes:
        text_format: the format of all files; ``auto`` recognizes tables by their names.
        include: patterns, one of which a file must match; empty to read all files.
        exclude: patterns, none of which a file may match.
    """

    text_format: TextFormat = "auto"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: Path, folder: str) -> bool:
        """Return whether a file in a folder is read."""
        parts = path.relative_to(folder).parts

        def match(patterns: tuple[str, ...]) -> bool:
            return any(_is_within(parts, pattern.rstrip("/")) for pattern in patterns)

        return (not self.include or match(self.include)) and not match(self.exclude)

    @property
    def words(self) -> str:
        """The patterns, for a message."""
        named = [("`include`", self.include), ("`exclude`", self.exclude)]
        return " ".join(f"{option} {each!r}" for option, patterns in named for each in patterns)


def _is_within(parts: Sequence[str], pattern: str) -> bool:
    """Return whether a pattern matches a path, given as its parts, or a folder on the path."""
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
    legacy: bool = False,
) -> Iterable[Source]:
    """Return the sources of an address.

    Args:
        address: the address that the user gave.
        encoding: the encoding of the text.
        stdin: the file with the spooled stdin or strings.
        notes: collects notes on skipped files.
        choice: which files of a folder are read, and in which format.
        legacy: whether to choose files by the rules 1 (see ``Division``): in a folder, all files
            without NUL bytes, including those of checkpoints.

    Raises:
        CorpusError: if the address names a checkpoint, or nothing that can be read as text.
        UsageError: if the address is ``-`` and ``stdin`` is not given.
    """
    notes = notes or Notes()
    found = _found(address, encoding, stdin, notes, choice, legacy=legacy)
    if legacy or choice.text_format == "text":
        return found
    return (as_table(source, choice.text_format, encoding, notes) for source in found)


def _found(
    address: str,
    encoding: str,
    stdin: Path | None,
    notes: Notes,
    choice: FileChoice,
    *,
    legacy: bool,
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
        return _folder(address, encoding, notes, choice, legacy=legacy)
    if (entry := find_entry(address)) is not None:
        return [_source(fetch(entry))]
    if paths := _glob(address):
        if legacy:
            return map(_source, paths)
        skipped: dict[str, str] = {}
        if found := list(map(_source, _without_checkpoints(paths, skipped))):
            notes.skip(skipped)
            return found
        raise _checkpoint_error(str(paths[0].parent))
    raise _not_found_error(address)


def without_copies(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources without files that equal an earlier one."""
    known: dict[Hashable, Source] = {}
    for source in sources:
        known.setdefault(source.digest() if type(source) is Source else source, source)
    return tuple(known.values())


def _source(path: Path) -> Source:
    return Source(harmless(str(path)), path)


def _spooled(stdin: Path | None) -> Source:
    if stdin is None:
        raise UsageError(f"{STDIN} means stdin, which can't be read here. Give a file.")
    if not os.path.isfile(stdin):
        raise CorpusError(f"{stdin} is not a regular file. Restore it, or train again.")
    return Source(STDIN_NAME, stdin)


def _embedded() -> Source:
    spec = importlib.util.find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        raise CorpusError(f"{EMBEDDED} is missing from this Python installation.")
    return EmbeddedSource(EMBEDDED, Path(spec.origin))


def _folder(
    address: str, encoding: str, notes: Notes, choice: FileChoice, *, legacy: bool
) -> list[Source]:
    if is_checkpoint(address) and not legacy:
        raise _checkpoint_error(address)
    try:
        paths = sorted(path for path in _walk(address) if choice.takes(path, address))
    except RecursionError:
        raise CorpusError(
            f"{address} has folders that are nested too deeply. Name the files themselves."
        ) from None
    skipped: dict[str, str] = {}
    text = []
    chosen = paths if legacy else _without_checkpoints(paths, skipped)
    for source in map(_source, chosen):
        if found := source.foreign_format(encoding, legacy=legacy):
            skipped[source.name] = found.name
        else:
            text.append(source)
    notes.skip(skipped)
    if not text:
        if choice.words and not skipped:
            raise CorpusError(f"{address}: no text file in the folder matches {choice.words}.")
        if skipped:
            raise CorpusError(
                f"{address}: no file in the folder can be read as text: {what_files_are(skipped)}."
            )
        raise CorpusError(f"{address}: the folder has no text files.")
    return text


def _without_checkpoints(paths: Iterable[Path], skipped: dict[str, str]) -> Iterator[Path]:
    """Yield paths except for files of checkpoints, which are added to ``skipped``."""
    known: dict[Path, bool] = {}
    for path in paths:
        if path.name in CHECKPOINT_FILES:
            if path.parent not in known:
                known[path.parent] = is_checkpoint(path.parent)
            if known[path.parent]:
                skipped[harmless(str(path))] = "part of a checkpoint"
                continue
        yield path


def _checkpoint_error(address: str) -> CorpusError:
    return CorpusError(
        f"{address} is a checkpoint, not text. To train it further, use charlstm train CORPUS "
        f"--from {shlex.quote(address)}."
    )


def _walk(folder: str) -> Iterator[Path]:
    """Yield the files below a folder, without hidden ones; follow links, visit each folder once."""
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
    """Return the files that match a pattern, sorted.

    Patterns with "**" use ``_walk``, since the search of ``glob`` may not end where links form a
    circle.
    """
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
    """Return whether the parts of a path match a pattern, where "**" is any number of parts.

    All reachable positions in the pattern are tracked at once: with backtracking, the time would
    grow exponentially with the number of "**".
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
    """Return positions in a pattern, and those reached when a "**" matches no part."""
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
        return CorpusError(f"{address}: no file matches this pattern.")
    try:
        os.stat(address)
    except OSError as error:
        return unreadable_error(address or "''", error)
    return CorpusError(f"{address} is not a regular file. Pipe it in and give {STDIN} instead.")
