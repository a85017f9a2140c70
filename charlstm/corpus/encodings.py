"""Finds the encoding of bytes: the one that the user or a byte-order mark names, or a guess.

The bytes come from the beginning of a file or from around its first undecodable byte.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections.abc import Iterator
from io import BufferedReader
from typing import NamedTuple

from charlstm.errors import CorpusError

# Stands for the encoding that is detected for each file.
AUTO = "auto"
MARK = "\ufeff"

# The most bytes that a guess uses: counting is fast, charset-normalizer is slow.
COUNTED, DETECTED = 2**19, 2**13

# White space and punctuation that most scripts use between words and sentences.
_COMMON = " \n\r\t,.\u3001\u3002\uff0c"


# The iconv names of encodings that have another name in Python.
_OF_ICONV = {"mac-roman": "macintosh", "latin-1": "latin1"}


class Mark(NamedTuple):
    """A byte-order mark, and the encoding of the text after it."""

    data: bytes
    encoding: str


# A mark comes before one that is its prefix: UTF-32-LE before UTF-16-LE.
_MARKS = (
    Mark(codecs.BOM_UTF8, "utf-8"),
    Mark(codecs.BOM_UTF32_LE, "utf-32-le"),
    Mark(codecs.BOM_UTF32_BE, "utf-32-be"),
    Mark(codecs.BOM_UTF16_LE, "utf-16-le"),
    Mark(codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OF_GB18030 = Mark(b"\x84\x31\x95\x33", "gb18030")


def has_nul_bytes(encoding: str) -> bool:
    """Return whether NUL bytes occur in ordinary text of this encoding, as in UTF-16."""
    return encoding != AUTO and b"\0" in "a".encode(encoding)


# Marks


def _marks_under(encoding: str) -> tuple[Mark, ...]:
    """Return the byte-order marks that a text may begin with if the user named this encoding."""
    name = "utf-8" if encoding == AUTO else codecs.lookup(encoding).name.removesuffix("-sig")
    if name == "gb18030":
        return (_OF_GB18030, *_MARKS)
    if not name.startswith(("utf-8", "utf-16", "utf-32")):
        return ()
    return _MARKS


def mark_of(head: bytes, encoding: str) -> Mark | None:
    """Return the byte-order mark that a file begins with, or ``None``.

    A mark overrides the named encoding if that is an encoding of Unicode. In other encodings, such
    as latin-1, the same bytes are characters.
    """
    return next((mark for mark in _marks_under(encoding) if head.startswith(mark.data)), None)


def without_byte_order(encoding: str, head: bytes) -> str:
    """Return the encoding, with a byte order, of a text without a byte-order mark.

    UTF-16 and UTF-32 come in two byte orders. The beginning of the text decides, and little-endian
    is the default.
    """
    name = codecs.lookup(encoding).name
    if name not in ("utf-16", "utf-32"):
        return encoding
    guess = _guess_with_nul(head[:COUNTED])
    return guess if guess and guess.startswith(name) else f"{name}-le"


def may_become_mark(head: bytes, encoding: str) -> bool:
    """Return whether more bytes could complete a byte-order mark, or turn it into a longer one."""
    return any(
        len(head) < len(mark.data) and mark.data.startswith(head) for mark in _marks_under(encoding)
    )


def without_mark(text: str) -> str:
    """Return decoded text without the byte-order mark at its beginning."""
    return text.removeprefix(MARK)


def decode_all(data: bytes, name: str) -> str:
    """Decode a whole text as UTF-8 or as its byte-order mark says, and drop the mark.

    Raises:
        CorpusError: if the text can't be decoded.
    """
    mark = mark_of(data, "utf-8") or Mark(b"", "utf-8")
    start = len(mark.data)
    try:
        return data[start:].decode(mark.encoding)
    except UnicodeDecodeError as error:
        raise unconverted_error(name, error, start, data) from None


def decoded_lines(stream: BufferedReader, name: str) -> Iterator[str]:
    """Yield the lines of a stream as they arrive, with line ends and without a byte-order mark.

    Raises:
        CorpusError: if a line is not valid UTF-8, or not valid in the encoding of the mark.
    """
    first = stream.readline()
    mark = mark_of(first, "utf-8")
    before = len(mark.data) if mark else 0
    first = first[before:]
    if mark and mark.encoding != "utf-8":
        yield from _lines_after(mark, first, stream, name)
        return
    for number, line in enumerate(itertools.chain((first,) if first else (), stream), 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            where = f"line {number} of {name}"
            raise unconverted_error(where, error, before * (number == 1), line) from None


def _lines_after(mark: Mark, data: bytes, stream: BufferedReader, name: str) -> Iterator[str]:
    """Yield the lines of a stream in UTF-16 or UTF-32, where a line end is not a single byte."""
    decoder = codecs.getincrementaldecoder(mark.encoding)()
    text, read, is_read = "", len(mark.data), False
    while not is_read:
        is_read = not data
        read += len(data)
        try:
            text += decoder.decode(data, final=is_read)
        except UnicodeDecodeError as error:
            raise unconverted_error(name, error, read - len(error.object), b"") from None
        *lines, text = text.split("\n")
        yield from (line + "\n" for line in lines)
        data = b"" if is_read else stream.read1(2**16)
    if text:
        yield text


def unconverted_error(
    name: str, error: UnicodeDecodeError, before: int, data: bytes
) -> CorpusError:
    """Return the error for text that must be UTF-8 (or have a byte-order mark) and is not.

    Args:
        name: the name of the text or line, for the message.
        error: the error of the decoder.
        before: the number of bytes before those that the decoder was given.
        data: the text that is known.
    """
    shown = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding
    guess = guess_encoding(data) if shown == "UTF-8" else None
    remedy = "Convert it, for example with iconv."
    if guess == "utf-8":
        remedy = "Nearly all of it is: drop the bad bytes, for example with iconv -c -t utf-8."
    elif guess:
        of_iconv = _OF_ICONV.get(guess, guess)
        remedy = f"It looks like {guess}: convert it with iconv -f {of_iconv} -t utf-8."
    return CorpusError(
        f"{name} is not valid {shown}: bad byte 0x{error.object[error.start]:02x} at offset "
        f"{before + error.start}. {remedy}"
    )


# Guesses


def guess_encoding(data: bytes, of_utf_8: int = 0) -> str | None:
    """Return the most likely encoding of a text, or ``None`` if none is likely.

    Text with a few damaged bytes still counts as ``utf-8``, since text in other encodings is almost
    never valid UTF-8 by chance.

    Args:
        data: the beginning of the text, or a part of it from the start of a line.
        of_utf_8: the number of UTF-8 continuation bytes elsewhere in the text.
    """
    data = data[:COUNTED]
    if wide := _guess_with_nul(data):
        return wide
    if b"\0" in data:
        return None
    if _is_nearly_utf_8(data, of_utf_8):
        return "utf-8"
    from charlstm.corpus.languages import guess_alphabet

    sample = _sample(data)
    return guess_alphabet(sample) or _guess_with_kana(sample) or _detected(sample)


def _is_nearly_utf_8(data: bytes, elsewhere: int) -> bool:
    """Return whether at least half of the characters beyond ASCII, and at least one, are UTF-8.

    Text in other encodings does not reach this by chance. In East Asian ones, fewer than half as
    many are valid.
    """
    # A character that is cut off at the end does not count as broken.
    text, _ = codecs.utf_8_decode(data, "replace", False)
    broken = text.count("\ufffd")
    beyond = sum(len(run) for run in re.findall(r"[^\0-\x7f\ufffd]+", text))
    return beyond + elsewhere >= max(1, broken)


def _guess_with_nul(data: bytes) -> str | None:
    """Return the encoding of UTF-16 or UTF-32 text, by the positions of its NUL bytes."""
    data = data[: len(data) & ~3]
    if b"\0" not in data:
        return None
    best, most = None, 0.0
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = codecs.getincrementaldecoder(encoding)().decode(data)
        except UnicodeDecodeError:
            continue
        if strange_share(text) > 0 or not _is_plausible(text):
            continue
        share = sum(map(text.count, _COMMON)) / len(text)
        if share > max(most, 0.01) or (best is None and text.isascii()):
            best, most = encoding, share
    return best


def _is_plausible(text: str) -> bool:
    """Return whether most characters belong to alphabets, or there is ideographic punctuation.

    Two ASCII letters read as one character of UTF-16 are usually an ideograph.
    """
    of_alphabets = sum(c < "\u3400" or "\uac00" <= c < "\ud800" for c in text)
    return of_alphabets > len(text) / 2 or any(c in text for c in "\u3001\u3002\uff0c")


def strange_share(text: str) -> float:
    """Return the share of control, unassigned and broken characters, which are rare in text.

    If any character is broken, private-use characters count too.
    """
    kinds = ("Cc", "Cn", "Cs", "Co") if "\ufffd" in text else ("Cc", "Cn", "Cs")
    strange = sum(
        unicodedata.category(character) in kinds or character == "\ufffd"
        for character in text
        if character not in "\t\n\v\f\r\x1b\b"
    )
    return strange / max(1, len(text))


def _sample(data: bytes) -> bytes:
    """Return the lines with bytes beyond ASCII, up to ``DETECTED`` bytes; only they matter."""
    lines, size = [], 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            lines.append(line)
            size += len(line)
        if size >= DETECTED:
            break
    sample = b"".join(lines)[:DETECTED]
    # Cut between characters: half a character would be a decoding error.
    end = max((index for index, byte in enumerate(sample) if byte < 0x30), default=-1) + 1
    return sample[:end] if end > len(sample) // 2 else sample


def _guess_with_kana(sample: bytes) -> str | None:
    """Return the Japanese encoding in which a fifth of the text is kana, if there is one."""
    for encoding in ("shift_jis", "cp932", "euc-jp"):
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        beyond = len(re.findall(r"[^\0-\x7f]", text))
        if len(re.findall("[\u3041-\u30fe]", text)) * 5 >= beyond > 0:
            return encoding
    return None


# The encodings that charset-normalizer chooses from, under its names, and the common encoding that
# each usually means.
_CANDIDATES = {
    "cp932": "shift_jis",
    "euc_jp": "euc-jp",
    "gb18030": "gb18030",
    "big5": "big5",
    "cp949": "euc-kr",
    "cp1255": "cp1255",
    "cp1256": "cp1256",
    "cp874": "cp874",
}


def _detected(sample: bytes) -> str | None:
    """Return the guess of charset-normalizer for text that ``languages`` does not cover."""
    from charset_normalizer import from_bytes

    if sample.isascii():
        return None
    best = from_bytes(
        sample, cp_isolation=list(_CANDIDATES), preemptive_behaviour=False, enable_fallback=False
    ).best()
    if best is None or best.chaos > 0.1:
        return None
    usual = _CANDIDATES.get(best.encoding, best.encoding)
    try:
        sample.decode(usual)
    except UnicodeDecodeError:
        return best.encoding
    return usual
