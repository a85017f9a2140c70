"""Which encoding bytes are in: what the user named, what a mark says, or a guess.

Bytes from a file's beginning, or around the place that does not decode, go in; the name of an
encoding comes out. This module does not read files.
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

# Accepts the encoding that each file is found to be in.
AUTO = "auto"
MARK = "\ufeff"

# Bytes that a guess may look at: counting is fast, charset-normalizer is not.
COUNTED, DETECTED = 2**19, 2**13

# Of UTF-16 text, in UTF-16: what stands between words and sentences in most scripts.
_COMMON = " \n\r\t,.\u3001\u3002\uff0c"


# What iconv calls encodings that Python calls otherwise.
_OF_ICONV = {"mac-roman": "macintosh", "latin-1": "latin1"}


class Mark(NamedTuple):
    """A byte-order mark, and the encoding of the text after it."""

    data: bytes
    encoding: str


# A mark that begins like another comes before it.
_MARKS = (
    Mark(codecs.BOM_UTF8, "utf-8"),
    Mark(codecs.BOM_UTF32_LE, "utf-32-le"),
    Mark(codecs.BOM_UTF32_BE, "utf-32-be"),
    Mark(codecs.BOM_UTF16_LE, "utf-16-le"),
    Mark(codecs.BOM_UTF16_BE, "utf-16-be"),
)
_OF_GB18030 = Mark(MARK.encode("gb18030"), "gb18030")


def has_nul_bytes(encoding: str) -> bool:
    """Whether NUL bytes occur in ordinary text of this encoding, as in UTF-16."""
    return encoding != AUTO and b"\0" in "a".encode(encoding)


# Marks


def _marks_under(encoding: str) -> tuple[Mark, ...]:
    """Return the marks that a text may begin with if the user named this encoding."""
    name = "utf-8" if encoding == AUTO else codecs.lookup(encoding).name.removesuffix("-sig")
    if name == "gb18030":
        return (_OF_GB18030, *_MARKS)
    if not name.startswith(("utf-8", "utf-16", "utf-32")):
        return ()
    return _MARKS


def mark_of(head: bytes, encoding: str) -> Mark | None:
    """Return the mark that a file begins with, unless it would be text in a named encoding.

    A mark decides among the encodings of Unicode, whichever of them is named. In others, such as
    latin-1, the same bytes are characters.
    """
    return next((mark for mark in _marks_under(encoding) if head.startswith(mark.data)), None)


def without_byte_order(encoding: str, head: bytes) -> str:
    """Return how to decode a text without a mark: UTF-16 and UTF-32 have two orders of bytes.

    The text's beginning decides if it can.
    """
    name = codecs.lookup(encoding).name
    if name not in ("utf-16", "utf-32"):
        return encoding
    guess = _guess_with_nul(head[:COUNTED])
    return guess if guess and guess.startswith(name) else f"{name}-le"


def may_become_mark(head: bytes, encoding: str) -> bool:
    """Whether more bytes could make the beginning of a file a mark, or a longer one."""
    return any(
        len(head) < len(mark.data) and mark.data.startswith(head) for mark in _marks_under(encoding)
    )


def without_mark(text: str) -> str:
    """Return decoded text without the mark at its beginning."""
    return text.removeprefix(MARK)


def decode_all(data: bytes, name: str) -> str:
    """Return a whole text in UTF-8, or in what its mark says, without its mark.

    Raises:
        CorpusError: if it does not decode.
    """
    mark = mark_of(data, "utf-8") or Mark(b"", "utf-8")
    start = len(mark.data)
    try:
        return data[start:].decode(mark.encoding)
    except UnicodeDecodeError as error:
        raise unconverted_error(name, error, start, data) from None


def decoded_lines(stream: BufferedReader, name: str) -> Iterator[str]:
    """Yield the lines of a stream as they come, with their line ends and without a mark.

    Raises:
        CorpusError: if one is neither in UTF-8 nor in what the mark says.
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
    """Yield the lines of a stream in UTF-16 or UTF-32, whose line ends are no single bytes."""
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
    """Return the error for text that can't be read in another encoding than Unicode's.

    Args:
        name: what is wrong.
        error: what the decoder said.
        before: how many bytes came before those that it was given.
        data: the text as far as it is known.
    """
    shown = "UTF-8" if error.encoding.startswith("utf-8") else error.encoding
    guess = guess_encoding(data) if shown == "UTF-8" else None
    remedy = "convert it, for example with iconv"
    if guess == "utf-8":
        remedy = "nearly all of it is UTF-8, so repair it, for example with iconv -c -t utf-8"
    elif guess:
        of_iconv = _OF_ICONV.get(guess, guess)
        remedy = f"it looks like {guess}, so convert it with iconv -f {of_iconv} -t utf-8"
    return CorpusError(
        f"{name} is not {shown}: byte 0x{error.object[error.start]:02x} at offset "
        f"{before + error.start} doesn't decode; {remedy}"
    )


# Guesses


def guess_encoding(data: bytes, of_utf_8: int = 0) -> str | None:
    """Return the encoding that a text is probably in, ``None`` if none is likely.

    It is ``utf-8`` also if some bytes of it are damaged: hardly any other text is UTF-8 by chance.

    Args:
        data: a part of the text; if not its beginning, then from the start of a line.
        of_utf_8: how many bytes, elsewhere in the text, continue a character of UTF-8.
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
    """Whether characters beyond ASCII are UTF-8 at least as often as not, and at least one is.

    By chance, that many are in no encoding: in those of East Asia, it is fewer than half as many.
    """
    # What is cut off at the end is not broken.
    text, _ = codecs.utf_8_decode(data, "replace", False)
    broken = text.count("\ufffd")
    beyond = sum(len(run) for run in re.findall(r"[^\0-\x7f\ufffd]+", text))
    return beyond + elsewhere >= max(1, broken)


def _guess_with_nul(data: bytes) -> str | None:
    """Return the encoding of text with NUL bytes, by where they are."""
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
    """Whether most characters are of alphabets, or there are full stops between ideographs.

    Two letters of ASCII taken for one character in UTF-16 are mostly an ideograph.
    """
    of_alphabets = sum(c < "\u3400" or "\uac00" <= c < "\ud800" for c in text)
    return of_alphabets > len(text) / 2 or any(c in text for c in "\u3001\u3002\uff0c")


def strange_share(text: str) -> float:
    """Return the share of characters that text hardly has: control, unassigned and broken ones.

    Beside broken ones, those for private use count too.
    """
    kinds = ("Cc", "Cn", "Cs", "Co") if "\ufffd" in text else ("Cc", "Cn", "Cs")
    strange = sum(
        unicodedata.category(character) in kinds or character == "\ufffd"
        for character in text
        if character not in "\t\n\v\f\r\x1b\b"
    )
    return strange / max(1, len(text))


def _sample(data: bytes) -> bytes:
    """Return the lines with bytes beyond ASCII, up to ``DETECTED`` bytes: they decide."""
    lines, size = [], 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            lines.append(line)
            size += len(line)
        if size >= DETECTED:
            break
    sample = b"".join(lines)[:DETECTED]
    # What is cut off in the middle of a character would be an error.
    end = max((index for index, byte in enumerate(sample) if byte < 0x30), default=-1) + 1
    return sample[:end] if end > len(sample) // 2 else sample


def _guess_with_kana(sample: bytes) -> str | None:
    """Return the encoding in which a fifth of a text is kana: no other text has so many."""
    for encoding in ("shift_jis", "cp932", "euc-jp"):
        try:
            text = sample.decode(encoding)
        except UnicodeDecodeError:
            continue
        beyond = len(re.findall(r"[^\0-\x7f]", text))
        if len(re.findall("[\u3041-\u30fe]", text)) * 5 >= beyond > 0:
            return encoding
    return None


# What charset-normalizer may choose among: each with a name for what is in use, and its own.
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
    """Ask charset-normalizer about text in none of the alphabets of ``languages``."""
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
