"""Decodes blocks of bytes into blocks of text, and refuses data that is not text.

A byte-order mark decides how the bytes after it are decoded, and is dropped.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from charlstm.corpus.encodings import (
    AUTO,
    Mark,
    guess_encoding,
    has_nul_bytes,
    mark_of,
    may_become_mark,
    strange_share,
    without_byte_order,
)
from charlstm.corpus.formats import (
    HEAD,
    UNKNOWN,
    Format,
    advice,
    binary_format,
    looks_binary,
    looks_like_html,
)
from charlstm.corpus.notes import Notes
from charlstm.errors import CorpusError

# Bytes at the beginning of a text that show what it is; a larger first block is used as a whole.
SNIFF = 8 * 2**10
# Bytes before and after the first undecodable byte by which the encoding is guessed.
_AROUND = 2**17
# Data in UTF-16 or UTF-32 is binary from this share of strange characters on: 30%, or 8% if some
# are broken.
_STRANGE, _STRANGE_AND_BROKEN = 0.3, 0.08


@dataclass(frozen=True)
class Decoding:
    """How a text is decoded.

    Attributes:
        name: the name of the text in messages.
        encoding: the encoding that the user named, or ``AUTO``.
        decode_errors: ``strict``, or ``replace`` to put U+FFFD in place of undecodable bytes.
        notes: collects notes for the user; ``None`` to drop them.
        file: the name of the file in a suggested shell command, or a placeholder.
        legacy: whether to decode by the rules 1 (see ``Division``), which leave byte-order marks to
            Python's decoders and treat data as binary only if it has a NUL byte.
    """

    name: str
    encoding: str
    decode_errors: str = "strict"
    notes: Notes | None = None
    file: str = "FILE"
    legacy: bool = False

    def texts(self, blocks: Iterable[bytes]) -> Iterator[str]:
        """Yield the text in blocks, each as soon as its bytes arrive.

        Raises:
            CorpusError: if the data is binary or can't be decoded.
        """
        blocks = iter(blocks)
        start, mark, encoding = b"", None, self.encoding
        if not self.legacy:
            start, mark = self._beginning(blocks)
            if mark is None:
                self._check_width(start[:SNIFF])
            encoding = mark.encoding if mark else without_byte_order(self.encoding, start)
        if self.notes is not None:
            self.notes.encodings[self.name] = encoding
        decoder = codecs.getincrementaldecoder(encoding)(self.decode_errors)
        if not self.encoding.lower().startswith(encoding):  # messages keep a name like utf-8-sig
            self = replace(self, encoding=encoding)
        inspector = _Inspector(self)
        read = begin = len(mark.data) if mark else 0
        is_utf_8, characters = encoding.lower().startswith("utf-8"), 0
        held = [start] if start else []
        del start  # free its memory as early as that of the other blocks
        while True:
            block = held.pop() if held else next(blocks, b"")
            inspector.check_bytes(block, read)
            read += len(block)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                continuing = 0
                if is_utf_8 and isinstance(error, UnicodeDecodeError):
                    characters += len(error.object[: error.start].decode("utf-8"))
                    continuing = read - begin - len(error.object) + error.start - characters
                guess = guess_encoding(_around(error, block) + b"\n" + inspector.head, continuing)
                raise self._undecodable(error, read, guess) from error
            if text:
                characters += len(text)
                inspector.check_text(text)
                yield text
            if not block:
                return

    def found(self, blocks: Iterable[bytes]) -> Decoding:
        """Return how to decode a text of unknown encoding: as UTF-8 if it is valid, else a guess.

        The whole text is checked, since one part can be plain ASCII and another not.

        Raises:
            CorpusError: if the text is nearly UTF-8, or no encoding is likely, and
                ``decode_errors`` is ``strict``.
        """
        assumed = replace(self, encoding="utf-8")
        blocks = iter(blocks)
        start, mark = assumed._beginning(blocks)
        if mark or binary_format(start) or (b"\0" not in start and looks_binary(start[:HEAD])):
            return assumed
        trial = _Utf8Trial()
        for block in itertools.chain((start,) if start else (), blocks, (b"",)):
            trial.take(block)
            if b"\0" in block:
                return self._guessed(guess_encoding(trial.head + block)) or assumed
        if trial.error is None:
            return assumed
        guess = "utf-8" if trial.is_nearly_utf_8 else guess_encoding(trial.sample)
        if guess in (None, "utf-8") and self.decode_errors == "strict":
            raise assumed._undecodable(trial.error, trial.read, guess) from trial.error
        return self._guessed(guess) or assumed

    def refusal(self, head: bytes) -> Format | None:
        """Return the format of a file that is not text, from its first bytes; ``None`` for text."""
        if self.legacy:
            is_binary = b"\0" in head[:SNIFF] and not has_nul_bytes(self.encoding)
            return UNKNOWN if is_binary else None
        if found := binary_format(head):
            return found
        mark = mark_of(head, self.encoding)
        if has_nul_bytes(mark.encoding if mark else self.encoding):
            return None
        if b"\0" in head:
            guess = guess_encoding(head)
            if guess and self.encoding == AUTO:
                return None
            return Format(f"text that needs `encoding` {guess}") if guess else UNKNOWN
        return UNKNOWN if looks_binary(head) else None

    def _beginning(self, blocks: Iterator[bytes]) -> tuple[bytes, Mark | None]:
        """Return the first bytes after the byte-order mark, and the mark if there is one."""
        head = b""
        for block in blocks:
            head += block
            if not may_become_mark(head, self.encoding):
                break
        mark = mark_of(head, self.encoding)
        if mark is None and head.startswith(codecs.BOM_UTF8):
            raise CorpusError(
                f"{self.name} has the byte-order mark of utf-8, not {self.encoding}. Leave "
                f"`encoding` out."
            )
        return head[len(mark.data) :] if mark else head, mark

    def _check_width(self, head: bytes) -> None:
        """Raise ``CorpusError`` if a text without NUL bytes is to be read as UTF-16 or UTF-32."""
        if has_nul_bytes(self.encoding) and _is_surely_utf_8(head) and not binary_format(head):
            raise CorpusError(
                f"{self.name} looks like utf-8, not {self.encoding}. Leave `encoding` out."
            )

    def _guessed(self, guess: str | None) -> Decoding | None:
        if guess in (None, "utf-8"):
            return None
        if self.notes:
            self.notes.guess(self.name, str(guess))
        return replace(self, encoding=str(guess))

    def _undecodable(self, error: UnicodeError, read: int, guess: str | None) -> CorpusError:
        where = "the text"
        if isinstance(error, UnicodeDecodeError):
            # The bytes that the decoder was given end where the bytes read so far end.
            offset = read - len(error.object) + error.start
            where = f"byte 0x{error.object[error.start]:02x} at offset {offset}"
        if guess and _is_same(guess, self.encoding):
            return CorpusError(
                f"{self.name}: {where} is not valid {self.encoding}, but nearly all of the text "
                f"is. Read it with `decode_errors` replace to put U+FFFD in place of bad bytes."
            )
        if guess:
            return CorpusError(
                f"{self.name}: {where} is not valid {self.encoding}. The text looks like {guess}: "
                f"read it with `encoding` {guess}, or put U+FFFD in place of bad bytes with "
                "`decode_errors` replace."
            )
        return CorpusError(
            f"{self.name}: {where} is not valid {self.encoding}, and no encoding is likely. Name "
            "the right `encoding`, or put U+FFFD in place of bad bytes with `decode_errors` "
            "replace."
        )


class _Utf8Trial:
    """Decodes a whole text as UTF-8 and counts the characters that are valid.

    Attributes:
        head: the first ``SNIFF`` bytes.
        error: the first decoding error.
        read: the number of bytes read when the first error occurred.
        sample: the bytes around the first error, and the head.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._beyond_ascii = self._broken = 0
        self.head = b""
        self.error: UnicodeDecodeError | None = None
        self.read = 0
        self.sample = b""

    def take(self, block: bytes) -> None:
        """Decode the next bytes; an empty block ends the text."""
        self.head += block[: max(0, SNIFF - len(self.head))]
        self.read += len(block) if self.error is None else 0
        try:
            text = self._decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            self.error = error
            self.sample = _around(error, block) + b"\n" + self.head
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
            text = self._decoder.decode(error.object, final=not block)
        broken = text.count("\ufffd") if self.error else 0
        self._broken += broken
        self._beyond_ascii += _count_beyond_ascii(text) - broken

    @property
    def is_nearly_utf_8(self) -> bool:
        """Whether at least half of the characters beyond ASCII are valid UTF-8."""
        return self._beyond_ascii >= max(1, self._broken)


class _Inspector:
    """Looks at a text while it is decoded: refuses binary data and notes HTML."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._nul_is_text = has_nul_bytes(decoding.encoding)
        self._begins = ""
        self._is_judged = decoding.legacy
        self.head = b""

    def check_bytes(self, block: bytes, read: int) -> None:
        """Raise ``CorpusError`` if the bytes so far show that the data is binary.

        Args:
            block: the next bytes.
            read: the number of bytes before them.
        """
        if len(self.head) < SNIFF and block:
            self.head += block[:HEAD]
            self._check_head()
        if not self._nul_is_text and (nul := block.find(b"\0")) >= 0:
            raise self._with_nul(read + nul)

    def _check_head(self) -> None:
        if self._decoding.legacy:
            return
        found = binary_format(self.head)
        is_unknown = not self._nul_is_text and b"\0" not in self.head
        if found or (is_unknown and looks_binary(self.head)):
            raise self._binary(found or UNKNOWN)

    def check_text(self, text: str) -> None:
        """Note HTML, and raise ``CorpusError`` for binary data in an encoding with NUL bytes."""
        if self._is_judged:
            return
        self._begins += text[:SNIFF]
        if len(self._begins) >= SNIFF // 8:
            self._is_judged = True
        if self._nul_is_text and len(self._begins) >= 64:
            share = strange_share(self._begins)
            least = _STRANGE_AND_BROKEN if "\ufffd" in self._begins else _STRANGE
            if share >= least:
                raise self._binary(UNKNOWN)
        if self._decoding.notes is not None and looks_like_html(self._begins):
            self._decoding.notes.html(self._decoding.name)
            self._is_judged = True

    def _binary(self, found: Format) -> CorpusError:
        name, file = self._decoding.name, self._decoding.file
        return CorpusError(f"{name} is {found.name}, not text.{advice(found, file)}")

    def _with_nul(self, offset: int) -> CorpusError:
        name = self._decoding.name
        where = f"a NUL byte at offset {offset}"
        if mark := mark_of(self.head, "utf-8"):
            return CorpusError(
                f"{name} has the byte-order mark of {mark.encoding} ({where}), not "
                f"{self._decoding.encoding}. Leave `encoding` out."
            )
        if guess := guess_encoding(self.head):
            return CorpusError(
                f"{name} looks like {guess} without a byte-order mark ({where}). Read it with "
                f"`encoding` {guess}."
            )
        return CorpusError(
            f"{name} looks like a binary file ({where}). If it is text in UTF-16 or UTF-32, name "
            "its `encoding`."
        )


def _around(error: UnicodeError, block: bytes) -> bytes:
    """Return the bytes around the undecodable byte, from the start of a line."""
    at = 0
    if isinstance(error, UnicodeDecodeError):
        at = max(0, error.start - len(error.object) + len(block))
    start = max(0, at - _AROUND)
    if start:
        start = max(block.find(b"\n", start, at) + 1, start)
    return block[start : at + _AROUND] or getattr(error, "object", b"")


def _is_surely_utf_8(head: bytes) -> bool:
    """Return whether bytes are valid UTF-8 without NUL bytes, and too many to be so by chance.

    A quarter of the ideographs in UTF-16 are two ASCII bytes, so eight in a row hardly occur.
    """
    if len(head) < 16 or b"\0" in head:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _count_beyond_ascii(text: str) -> int:
    return 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))


def _is_same(one: str, other: str) -> bool:
    return codecs.lookup(one).name == codecs.lookup(other).name
