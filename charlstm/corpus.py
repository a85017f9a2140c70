"""Where text comes from: files, folders, glob patterns, standard input, the embedded corpus.

Addresses become a ``Corpus``, which streams its decoded text as chunks and never holds it whole.
This module knows files, compression, encodings and where documents end. It does not know symbols
or ids, nor who reads the text.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import fnmatch
import glob
import hashlib
import importlib.util
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from charlstm.errors import ConfigError, CorpusError, UsageError
from charlstm.files import storage_errors

DecodeErrors = Literal["strict", "replace"]

STDIN = "-"
EMBEDDED = "python-docs"
ADDRESSES = f"a file, a folder, a glob pattern, {STDIN} for standard input, or {EMBEDDED}"
BLOCK = 2**20
SNIFF = 8 * 2**10

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
_WHITE_SPACE = re.compile(r"\s")
_REASONS = {
    errno.ENOENT: f"there is nothing of that name: name {ADDRESSES}",
    errno.EACCES: "permission denied: ask for the right to read it, or name another file",
    errno.EPERM: "permission denied: ask for the right to read it, or name another file",
    errno.EISDIR: "it is a folder: redirect a file instead",
}


class Chunk(NamedTuple):
    """A stretch of text that lies in one document."""

    text: str
    ends_document: bool


class Fingerprint(NamedTuple):
    """What a corpus holds: the hash depends on its text and on where its documents end."""

    sha256: str
    characters: int
    documents: int


@dataclass(frozen=True)
class Source:
    """A text file, compressed or not: one document.

    Attributes:
        name: as shown to people and stored; valid UTF-8 whatever the path is.
        path: where the bytes are.
    """

    name: str
    path: Path

    def documents(self, encoding: str, decode_errors: DecodeErrors) -> Iterator[Iterable[str]]:
        """Yield each document as blocks of text, to be read before the next one is asked for.

        Raises:
            CorpusError: if the file can't be read, is binary or doesn't decode.
        """
        blocks = _read(self.name, self.path, nul_is_text=_has_nul_bytes(encoding))
        yield _decode(self.name, blocks, encoding, decode_errors)


@dataclass(frozen=True)
class EmbeddedSource(Source):
    """The reference text in the running interpreter's ``pydoc_data``: each topic a document."""

    def documents(
        self,
        encoding: str,  # noqa: ARG002 (the text is in memory, decoded)
        decode_errors: DecodeErrors,  # noqa: ARG002
    ) -> Iterator[Iterable[str]]:
        """Yield the topics in the order of their names."""
        from pydoc_data.topics import topics

        for name in sorted(topics):
            yield (topics[name],)


@dataclass(frozen=True)
class Corpus:
    """Text in documents, read anew by each pass over ``chunks()``.

    Attributes:
        sources: where the text comes from, in order, each once.
        encoding: of every file.
        decode_errors: what a byte that doesn't decode does: stop, or become U+FFFD.
        lines: whether each line is a document (otherwise each file is).
        addresses: as the user named the corpus.
    """

    sources: tuple[Source, ...]
    encoding: str = "utf-8"
    decode_errors: DecodeErrors = "strict"
    lines: bool = False
    addresses: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """A name for a folder, from the first address: ``a/plays.txt.gz`` gives ``plays``."""
        address = "stdin" if self.addresses[:1] == (STDIN,) else "".join(self.addresses[:1])
        path = Path(os.path.abspath(address))
        if path.suffix.lower() in _COMPRESSED:
            path = path.with_suffix("")
        last = path.name if os.path.isdir(address) else path.stem
        names = (re.sub(r"[^\w.-]+", "-", part) for part in (last, *reversed(path.parts[:-1])))
        return next(filter(None, (name[:60].strip("-._") for name in names)), "corpus")

    def chunks(self) -> Iterator[Chunk]:
        r"""Stream the text, of which at most a few blocks (or the longest line) are in memory.

        By file, a chunk has about 2**20 characters, is cut after a newline if it holds one, and
        never between "\r" and "\n"; an empty file is no document. By line, a chunk is a line
        without its "\n", and an empty line is a document.

        Raises:
            CorpusError: if a file can't be read, is binary or doesn't decode.
        """
        cut = _cut_lines if self.lines else _cut_blocks
        for source in self.sources:
            for blocks in source.documents(self.encoding, self.decode_errors):
                yield from cut(blocks)

    def fingerprint(self) -> Fingerprint:
        """Hash and count the text in one pass (characters are code points).

        Raises:
            CorpusError: as ``chunks()`` does, and if there is not one character.
        """
        # No UTF-8 text holds the byte 0xFF, so it can mark where a document ends.
        digest = hashlib.sha256(b"lines\xff" if self.lines else b"files\xff")
        characters = documents = 0
        for text, ends_document in self.chunks():
            digest.update(text.encode("utf-8", "surrogatepass") + b"\xff" * ends_document)
            characters += len(text)
            documents += ends_document
        if not characters:
            named = ", ".join(self.addresses)
            raise CorpusError(f"{named}: the corpus is empty, it needs text to learn from")
        return Fingerprint(digest.hexdigest(), characters, documents)


def open_corpus(
    addresses: Sequence[str],
    *,
    encoding: str = "utf-8",
    decode_errors: DecodeErrors = "strict",
    lines: bool = False,
    stdin: Path | None = None,
) -> Corpus:
    """Find the files that the addresses stand for; a file found twice counts once.

    An address is a file, a folder (all its text files, recursively, sorted by path, without hidden
    ones), a glob pattern (the files it matches, sorted), ``-`` (standard input, which
    ``spool_stdin`` has written to ``stdin``) or ``python-docs`` (the embedded corpus, unless a
    file has that name). Compressed files (.gz, .bz2, .xz, .zst) are read through.

    Raises:
        ConfigError: if ``encoding`` is no text encoding.
        CorpusError: if an address stands for nothing that can be read as text.
        UsageError: if there is no address, or ``-`` without ``stdin``.
    """
    _check_encoding(encoding)
    if not addresses:
        raise UsageError(f"no corpus is named: name {ADDRESSES}")
    unique: dict[tuple[type[Source], str], Source] = {}
    for address in addresses:
        for source in _expand(address, encoding, stdin):
            unique.setdefault((type(source), os.path.realpath(source.path)), source)
    return Corpus(tuple(unique.values()), encoding, decode_errors, lines, tuple(addresses))


def spool_stdin(stream: BinaryIO, path: Path) -> None:
    """Copy a stream that can be read only once to a file, block by block.

    Raises:
        CorpusError: if the stream can't be read.
        StorageError: if the file can't be written; nothing is left of it then.
    """
    with storage_errors(path), path.open("wb") as file:
        try:
            while block := _read_block(stream):
                file.write(block)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def divide(
    corpus: Corpus, characters: int, fraction: float, *, seed: int, whole_words: bool
) -> Iterator[tuple[bool, Chunk]]:
    """Say of each chunk whether it validates (True) or trains (False).

    By file, the first ``int((1 - fraction) * characters)`` characters train and the rest
    validates; the chunk that holds the boundary is cut in two. By line, a keyed hash of the line
    decides, so that equal lines always fall on the same side.

    Args:
        corpus: the text.
        characters: how many characters it has, from its fingerprint.
        fraction: the part that validates, in (0, 1).
        seed: draws the lines; unused by file.
        whole_words: move the boundary on to the next white space character, which then starts
            the validation text, or to the document's end if that comes first.
    """
    if corpus.lines:
        return ((_drawn(chunk.text, fraction, seed), chunk) for chunk in corpus.chunks())
    return _divide_at(corpus.chunks(), int((1 - fraction) * characters), whole_words)


def _drawn(line: str, fraction: float, seed: int) -> bool:
    data = line.encode("utf-8", "surrogatepass")
    digest = hashlib.blake2b(data, digest_size=8, key=seed.to_bytes(8, "little")).digest()
    return int.from_bytes(digest, "little") < fraction * 2**64


def _divide_at(
    chunks: Iterator[Chunk], boundary: int, whole_words: bool
) -> Iterator[tuple[bool, Chunk]]:
    left = boundary
    validates = left <= 0
    for text, ends_document in chunks:
        cut = 0 if validates else _boundary_in(text, max(left, 0), whole_words)
        head, tail = text[:cut], text[cut:]
        if head:
            yield False, Chunk(head, ends_document and not tail)
        if tail:
            yield True, Chunk(tail, ends_document)
        left -= len(text)
        reached = left <= 0 and (ends_document or not whole_words)
        validates = validates or bool(tail) or reached


def _boundary_in(text: str, start: int, whole_words: bool) -> int:
    """Return where in ``text`` validation starts; its length if nowhere."""
    if not whole_words or start >= len(text):
        return min(start, len(text))
    found = _WHITE_SPACE.search(text, start)
    return found.start() if found else len(text)


def _cut_blocks(blocks: Iterable[str]) -> Iterator[Chunk]:
    text = ""
    for block in blocks:
        if cut := _cut_point(text):
            yield Chunk(text[:cut], ends_document=False)
        text = text[cut:] + block
    if text:
        yield Chunk(text, ends_document=True)


def _cut_point(text: str) -> int:
    r"""Return the end of the last whole line, else a place before a space, else the end.

    A "\r" at the end is left for the next chunk, which may begin with its "\n".
    """
    end = len(text) - text.endswith("\r")
    newline = max(text.rfind("\n", 0, end), text.rfind("\r", 0, end)) + 1
    return newline or max(text.rfind(" ", 0, end), 0) or end


def _cut_lines(blocks: Iterable[str]) -> Iterator[Chunk]:
    parts: list[str] = []
    for block in blocks:
        *ended, rest = block.split("\n")
        for line in ended:
            yield Chunk("".join((*parts, line)), ends_document=True)
            parts.clear()
        parts.append(rest)
    if last := "".join(parts):
        yield Chunk(last, ends_document=True)


def _check_encoding(encoding: str) -> None:
    try:
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)
    except (LookupError, ValueError):
        raise ConfigError(
            f"{encoding!r} is no text encoding: give one that Python knows, "
            "such as utf-8, utf-16, latin-1 or cp1252"
        ) from None


def _has_nul_bytes(encoding: str) -> bool:
    """Whether NUL bytes are usual in text of this encoding, as in UTF-16."""
    return b"\0" in "a".encode(encoding)


def _decode(
    name: str, blocks: Iterable[bytes], encoding: str, decode_errors: DecodeErrors
) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)(decode_errors)
    read = 0
    for block in itertools.chain(blocks, (b"",)):
        read += len(block)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as error:
            raise _undecodable(name, encoding, error, read) from error
        if text:
            yield text


def _undecodable(name: str, encoding: str, error: UnicodeError, read: int) -> CorpusError:
    where = "its text"
    if isinstance(error, UnicodeDecodeError):
        # What the decoder looked at ends where the bytes read so far end.
        offset = read - len(error.object) + error.start
        where = f"byte 0x{error.object[error.start]:02x} at offset {offset}"
    return CorpusError(
        f"{name}: {where} is not {encoding}: name the right encoding with --encoding, "
        "or put U+FFFD in its place with --decode-errors replace"
    )


def _read(name: str, path: Path, *, nul_is_text: bool) -> Iterator[bytes]:
    read = 0
    with _opened(name, path) as stream:
        while block := stream.read(BLOCK):
            if not nul_is_text and (nul := block.find(b"\0")) >= 0:
                raise CorpusError(
                    f"{name} looks like a binary file (a NUL byte at offset {read + nul}): name "
                    "text files, with --encoding if they are in UTF-16 or UTF-32"
                )
            read += len(block)
            yield block


def _read_block(stream: BinaryIO) -> bytes:
    try:
        return stream.read(BLOCK)
    except OSError as error:
        raise _unreadable("stdin", error) from error


@contextlib.contextmanager
def _opened(name: str, path: Path) -> Iterator[BufferedIOBase]:
    try:
        opener, failures = _format(path)
    except ImportError as error:
        raise CorpusError(
            f"{name}: this Python can't read {path.suffix} files ({error}): decompress it first"
        ) from error
    try:
        with opener(path) as stream:
            yield stream
    except failures as error:
        raise _unreadable(name, error) from error


def _format(path: Path) -> tuple[Callable[[Path], BufferedIOBase], tuple[type[Exception], ...]]:
    """Return how to open a file, by its suffix, and what can be raised on the way."""
    match path.suffix.lower():
        case ".gz":
            import gzip
            import zlib

            return gzip.GzipFile, (OSError, EOFError, zlib.error)
        case ".bz2":
            import bz2

            return bz2.BZ2File, (OSError, EOFError)
        case ".xz":
            import lzma

            return lzma.LZMAFile, (OSError, EOFError, lzma.LZMAError)
        case ".zst":
            from backports import zstd

            return zstd.ZstdFile, (OSError, EOFError, zstd.ZstdError)
        case _:
            return lambda path: path.open("rb"), (OSError,)


def _unreadable(name: str, error: Exception) -> CorpusError:
    code = getattr(error, "errno", None)
    if code is None:  # only decompressors fail without one
        return CorpusError(
            f"{name} can't be decompressed ({error}): the file is broken or truncated, "
            "so fetch or compress it again"
        )
    return CorpusError(f"can't read {name}: {_REASONS.get(code, os.strerror(code))}")


def _expand(address: str, encoding: str, stdin: Path | None) -> Iterable[Source]:
    if address == STDIN:
        return [_spooled(stdin)]
    if os.path.isfile(address):
        return [_source(Path(address))]
    if address == EMBEDDED:
        return [_embedded()]
    if os.path.isdir(address):
        return _folder(address, encoding)
    if paths := _glob(address):
        return map(_source, paths)
    raise _nothing(address)


def _source(path: Path) -> Source:
    return Source(str(path).encode("utf-8", "backslashreplace").decode(), path)


def _spooled(stdin: Path | None) -> Source:
    if stdin is None:
        raise UsageError(f"{STDIN} stands for standard input, which is not given: name a file")
    return Source("stdin", stdin)


def _embedded() -> Source:
    spec = importlib.util.find_spec("pydoc_data.topics")
    if spec is None or spec.origin is None:
        raise CorpusError(f"{EMBEDDED} is missing from this Python: name a file of your own")
    return EmbeddedSource(EMBEDDED, Path(spec.origin))


def _folder(address: str, encoding: str) -> list[Source]:
    sources = map(_source, sorted(_walk(address)))
    text = [source for source in sources if _has_nul_bytes(encoding) or _is_text(source)]
    if not text:
        raise CorpusError(f"{address} is a folder without text files: name {ADDRESSES}")
    return text


def _is_text(source: Source) -> bool:
    with _opened(source.name, source.path) as stream:
        return b"\0" not in stream.read(SNIFF)


def _walk(folder: str) -> Iterator[Path]:
    """Yield the files below a folder, through symbolic links, each folder once, no hidden names."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, onerror=_raise_unreadable, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(here, name) for name in files if not name.startswith("."))
        yield from (path for path in paths if os.path.isfile(path))


def _raise_unreadable(error: OSError) -> None:
    raise _unreadable(str(error.filename), error) from error


def _glob(pattern: str) -> list[Path]:
    """Return the files a pattern matches; "**" goes by ``_walk``, since glob's may never end."""
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
    if not pattern or not parts:
        return not parts and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return _matches(parts, pattern[1:]) or _matches(parts[1:], pattern)
    return fnmatch.fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def _nothing(address: str) -> CorpusError:
    if glob.has_magic(address):
        return CorpusError(f"no file matches the pattern {address}: name {ADDRESSES}")
    try:
        os.stat(address)
    except OSError as error:
        return _unreadable(address or "''", error)
    return CorpusError(f"{address} is not a regular file: pipe it in and name {STDIN} instead")
