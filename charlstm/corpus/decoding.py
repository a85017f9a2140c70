"""Decodes the bytes of a text, and refuses what is not text.

Blocks of bytes go in, blocks of text come out. A byte-order mark is dropped, and says how to decode
what follows. This module does not know where bytes come from.
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

# The beginning of a text has so many bytes, or all of its first block.
SNIFF = 8 * 2**10
# Bytes around the place that does not decode, by which the encoding is guessed.
_AROUND = 2**17
# From this share of broken and strange characters on, text in UTF-16 or UTF-32 is none.
_STRANGE, _STRANGE_AND_BROKEN = 0.3, 0.08


@dataclass(frozen=True)
class Decoding:
    """How a text is decoded.

    Attributes:
        name: its name in messages.
        encoding: the encoding that the user named, or ``AUTO``.
        decode_errors: ``strict``, or ``replace`` for U+FFFD in place of what does not decode.
        notes: is told what the user should know; ``None`` if nobody asks.
        file: its name in a shell command, or a word for it.
        as_before: whether bytes are decoded as Python does it, as for training by the rules 1 (see
            ``Division``): a mark counts only there, and only a NUL byte shows that data is binary.
    """

    name: str
    encoding: str
    decode_errors: str = "strict"
    notes: Notes | None = None
    file: str = "FILE"
    as_before: bool = False

    def texts(self, blocks: Iterable[bytes]) -> Iterator[str]:
        """Yield the text in blocks, each as soon as its bytes are there.

        Raises:
            CorpusError: if it is binary or does not decode.
        """
        blocks = iter(blocks)
        start, mark, encoding = b"", None, self.encoding
        if not self.as_before:
            start, mark = self._beginning(blocks)
            encoding = mark.encoding if mark else without_byte_order(self.encoding, start)
        if self.notes is not None:
            self.notes.encodings[self.name] = encoding
        decoder = codecs.getincrementaldecoder(encoding)(self.decode_errors)
        if not self.encoding.lower().startswith(encoding):  # utf-8-sig stays what the user named
            self = replace(self, encoding=encoding)
        inspector = _Inspector(self)
        read = begin = len(mark.data) if mark else 0
        is_utf_8, characters = encoding.lower().startswith("utf-8"), 0
        held = [start] if start else []
        del start  # it is not to be in memory longer than the others
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
        """Return how to decode a text whose encoding is not known: UTF-8 if it is, else a guess.

        The whole text decides: a guess from one place would take the others to be in it too.

        Raises:
            CorpusError: if it is nearly UTF-8, or no encoding is likely, unless what does not
                decode is to be replaced.
        """
        assumed = replace(self, encoding="utf-8")
        blocks = iter(blocks)
        start, mark = assumed._beginning(blocks)
        if mark or binary_format(start) or (b"\0" not in start and looks_binary(start[:HEAD])):
            return assumed
        trial = _TrialOfUtf8()
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
        """Return what a file is that is not text, from its first bytes; ``None`` for text."""
        if self.as_before:
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
            return Format(f"text that needs --encoding {guess}") if guess else UNKNOWN
        return UNKNOWN if looks_binary(head) else None

    def _beginning(self, blocks: Iterator[bytes]) -> tuple[bytes, Mark | None]:
        """Return the first bytes after the mark, and the mark if there is one."""
        head = b""
        for block in blocks:
            head += block
            if not may_become_mark(head, self.encoding):
                break
        mark = mark_of(head, self.encoding)
        if mark is None and head.startswith(codecs.BOM_UTF8):
            raise CorpusError(
                f"{self.name} has the mark of utf-8, which is not {self.encoding}: "
                f"leave --encoding out"
            )
        return head[len(mark.data) :] if mark else head, mark

    def _guessed(self, guess: str | None) -> Decoding | None:
        if guess in (None, "utf-8"):
            return None
        if self.notes:
            self.notes.guess(self.name, str(guess))
        return replace(self, encoding=str(guess))

    def _undecodable(self, error: UnicodeError, read: int, guess: str | None) -> CorpusError:
        where = "its text"
        if isinstance(error, UnicodeDecodeError):
            # What the decoder looked at ends where the bytes read so far end.
            offset = read - len(error.object) + error.start
            where = f"byte 0x{error.object[error.start]:02x} at offset {offset}"
        if guess and _is_same(guess, self.encoding):
            remedy = f"nearly all of the text is {guess}, so no other --encoding fits:"
        elif guess:
            remedy = f"it looks like {guess}, so read it with --encoding {guess},"
        else:
            remedy = "no encoding is likely, so name the right one with --encoding,"
        other = "put" if remedy.endswith(":") else "or put"
        return CorpusError(
            f"{self.name}: {where} is not {self.encoding}: {remedy} {other} U+FFFD in its place "
            "with --decode-errors replace"
        )


class _TrialOfUtf8:
    """Reads a whole text as UTF-8 and counts what is.

    Attributes:
        head: the first ``SNIFF`` bytes.
        error: what does not decode first.
        read: how many bytes had been read then.
        sample: the bytes around it, and the head.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._beyond_ascii = self._broken = 0
        self.head = b""
        self.error: UnicodeDecodeError | None = None
        self.read = 0
        self.sample = b""

    def take(self, block: bytes) -> None:
        """Read the next bytes; none at the end."""
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
        """Whether characters beyond ASCII are UTF-8 at least as often as they are not."""
        return self._beyond_ascii >= max(1, self._broken)


class _Inspector:
    """Looks at a text while it is decoded: binary files are refused, HTML is noted."""

    def __init__(self, decoding: Decoding) -> None:
        self._decoding = decoding
        self._nul_is_text = has_nul_bytes(decoding.encoding)
        self._begins = ""
        self._is_judged = decoding.as_before
        self.head = b""

    def check_bytes(self, block: bytes, read: int) -> None:
        """Raise ``CorpusError`` if the text is binary, as far as it is known.

        Args:
            block: its next bytes.
            read: how many came before.
        """
        if len(self.head) < SNIFF and block:
            self.head += block[:HEAD]
            self._check_head()
        if not self._nul_is_text and (nul := block.find(b"\0")) >= 0:
            raise self._with_nul(read + nul)

    def _check_head(self) -> None:
        if self._decoding.as_before:
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
        return CorpusError(f"{name} is {found.name}, not text: {advice(found, file)}")

    def _with_nul(self, offset: int) -> CorpusError:
        name = self._decoding.name
        where = f"a NUL byte at offset {offset}"
        if mark := mark_of(self.head, "utf-8"):
            return CorpusError(
                f"{name} has the mark of {mark.encoding} ({where}), which is not "
                f"{self._decoding.encoding}: leave --encoding out"
            )
        if guess := guess_encoding(self.head):
            return CorpusError(
                f"{name} looks like {guess} without a mark ({where}): read it with "
                f"--encoding {guess}"
            )
        return CorpusError(
            f"{name} looks like a binary file ({where}): name text files, with --encoding if they "
            "are in UTF-16 or UTF-32"
        )


def _around(error: UnicodeError, block: bytes) -> bytes:
    """Return the bytes around the place that does not decode, from the start of a line."""
    at = 0
    if isinstance(error, UnicodeDecodeError):
        at = max(0, error.start - len(error.object) + len(block))
    start = max(0, at - _AROUND)
    if start:
        start = max(block.find(b"\n", start, at) + 1, start)
    return block[start : at + _AROUND] or getattr(error, "object", b"")


def _count_beyond_ascii(text: str) -> int:
    return 0 if text.isascii() else len(text) - len(text.encode("ascii", "ignore"))


def _is_same(one: str, other: str) -> bool:
    return codecs.lookup(one).name == codecs.lookup(other).name
