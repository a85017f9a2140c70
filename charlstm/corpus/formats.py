"""Recognizes files that are not plain text by their first bytes, and suggests how to convert them.

A format is never recognized by letters alone, since a text may begin with any letters: the bytes
that follow them in the format must be there too.
"""

from __future__ import annotations

import functools
import re
import shlex
from typing import NamedTuple

# Bytes at the beginning of a file by which its format is recognized.
HEAD = 2**16

# Control characters that do not occur in text. Those for layout, backspace, escape and the four
# separators do.
_CONTROLS = bytes({*range(0x01, 0x08), *range(0x0E, 0x1A), 0x7F})
# A file is binary if 30% of its bytes are control characters, or if 4% are, of at least 8 kinds,
# and it is not UTF-8. A file of fewer than 64 bytes is text.
_SHARE, _SHARE_IF_UNDECODABLE, _KINDS, _JUDGED = 0.3, 0.04, 8, 64
# Up to 3 kinds of control characters may be separators of fields, many of which may be empty: then
# a file is binary only if 90% of its bytes are control characters.
_SEPARATORS, _SHARE_OF_SEPARATORS = 3, 0.9


class Format(NamedTuple):
    """A file format.

    Attributes:
        name: the name of a file in this format, with its article: "a PDF document".
        converter: a shell command that writes the text of the file ``{}`` to stdout; empty if there
            is none.
    """

    name: str
    converter: str = ""


UNKNOWN = Format("a binary file")
_PDF = Format("a PDF document", "pdftotext {} -")
_ZIP = Format("a zip archive", "unzip -p {}")

# The first bytes of a file in each format, as a regular expression.
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (rb"\x89PNG[\r\n]", Format("a PNG image")),
    (rb"\xff\xd8\xff[\xc0-\xfe]", Format("a JPEG image")),
    (rb"GIF8[79]a.{0,6}\0", Format("a GIF image")),
    (rb"RIFF.{4}WEBP", Format("a WebP image")),
    (rb"RIFF.{4}WAVE", Format("a WAV sound file")),
    (rb"RIFF.{4}AVI ", Format("an AVI video")),
    (rb"BM.{4}\0\0\0\0", Format("a BMP image")),
    (rb"II\*\0|MM\0\*", Format("a TIFF image")),
    (rb"8BPS\0[\x01\x02]", Format("a Photoshop image")),
    (rb"AT&TFORM.{4}DJV", Format("a DjVu document", "djvutxt {}")),
    (rb"\{\\rtf\d*\s*[\\{]", Format("an RTF document", "unrtf --text {}")),
    (rb"\x1f\x8b\x08[\0-\x1f]", Format("gzip-compressed data", "gunzip < {}")),
    (rb"\x1f\x9d[\x89-\x90]", Format("data compressed with compress", "gunzip < {}")),
    (rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", Format("bzip2-compressed data", "bunzip2 < {}")),
    (rb"\xfd7zXZ\0", Format("xz-compressed data", "unxz < {}")),
    (rb"\x5d\0\0[\x01-\x80][\0-\x04]", Format("lzma-compressed data", "unxz < {}")),
    (rb"\x28\xb5\x2f\xfd", Format("zstd-compressed data", "zstd -dc < {}")),
    (rb"\x04\x22\x4d\x18", Format("LZ4-compressed data", "lz4 -dc < {}")),
    (rb".{257}ustar(\0| \0|  )", Format("a tar archive", "tar -xOf {}")),
    (rb"7z\xbc\xaf\x27\x1c", Format("a 7z archive", "7z x -so {}")),
    (rb"Rar!\x1a\x07", Format("a RAR archive", "unrar p -inul {}")),
    (rb"MSCF\0\0\0\0", Format("a cabinet archive", "cabextract -p {}")),
    (rb"SQLite format 3\0", Format("an SQLite database", "sqlite3 {} .dump")),
    (rb"\x7fELF", Format("an ELF program")),
    (rb"\xca\xfe\xba\xbe|\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe", Format("a program")),
    (rb"\0asm", Format("a WebAssembly program")),
    (rb"\x93NUMPY[\x01-\x03]\0", Format("a NumPy array")),
    (
        rb"\x80[\x04\x05]\x95.{6}\0\0|\x80[\x02-\x05][\](}cX\x8c][\x00qXclU(\x94]",
        Format("a Python pickle"),
    ),
    (rb"\x89HDF\r\n\x1a\n", Format("an HDF5 file")),
    (rb'.{4}\0{4}\{"', Format("a safetensors file")),
    (rb"GGUF.\0\0\0", Format("a GGUF model")),
    (rb"ID3[\x02-\x04][\0-\x0f]|\xff[\xf2\xf3\xfa\xfb](?=.*\0)", Format("an MP3 sound file")),
    (rb"OggS\0", Format("an Ogg sound file")),
    (rb"fLaC\0", Format("a FLAC sound file")),
    (rb"FORM.{4}AIF[FC]", Format("an AIFF sound file")),
    (rb"MThd\0\0\0\x06", Format("a MIDI file")),
    (rb"\0\0.{2}ftyp", Format("an MP4 video or sound file")),
    (rb"\x1a\x45\xdf\xa3", Format("a Matroska or WebM video")),
    (rb"PAR1[\x15\x1c]", Format("a Parquet table", "parquet-tools cat {}")),
    (rb"ARROW1\0\0", Format("an Arrow table")),
    (rb"Obj\x01", Format("an Avro file")),
    (rb"bplist0\d(?=.*\0)", Format("a property list", "plutil -convert xml1 -o - {}")),
    (rb".{60}BOOKMOBI", Format("a Mobipocket book")),
    (rb"(\0\x01\0\0|OTTO\0|wOF[F2](\0\x01\0\0|OTTO|true))", Format("a font")),
)

# Bytes in the beginning of zip archives, and the formats that they show; the first match decides.
_IN_ZIP: tuple[tuple[bytes, Format], ...] = (
    (b"mimetypeapplication/epub+zip", Format("an EPUB book", "pandoc -f epub -t plain {}")),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.text",
        Format("an OpenDocument text", "pandoc -f odt -t plain {}"),
    ),
    (
        b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        Format("an OpenDocument spreadsheet", "markitdown {}"),
    ),
    (b"mimetypeapplication/vnd.oasis", Format("an OpenDocument file", "markitdown {}")),
    (b"word/", Format("a Word document (docx)", "pandoc -f docx -t plain {}")),
    (b"xl/", Format("an Excel workbook (xlsx)", "xlsx2csv {}")),
    (b"ppt/", Format("a PowerPoint presentation (pptx)", "markitdown {}")),
    (b"[Content_Types].xml", Format("an Office document", "markitdown {}")),
    (b"META-INF/MANIFEST.MF", Format("a Java archive")),
    (b"META-INF/container.xml", Format("an EPUB book", "pandoc -f epub -t plain {}")),
    (b"data.pkl", Format("a PyTorch model")),
    (b".npy", Format("a NumPy archive (npz)")),
)
# Names of streams in files of old Office programs, where they are in UTF-16.
_IN_OLE: tuple[tuple[str, Format], ...] = (
    ("WordDocument", Format("a Word document (doc)", "catdoc {}")),
    ("Workbook", Format("an Excel workbook (xls)", "xls2csv {}")),
    ("PowerPoint Document", Format("a PowerPoint presentation (ppt)", "catppt {}")),
)

_PDF_HEADER = re.compile(rb"\s*%PDF-\d\.\d[ \t]*[\r\n]+")
_PDF_BODY = re.compile(rb"%[^\r\n]*[\x80-\xff]{2}|(.*?[\r\n])?\d+ \d+ obj\b", re.DOTALL)
# Possessive and atomic groups match what may come first: with backtracking, the time would grow
# exponentially.
_HTML = re.compile(
    r"\s*+(?><\?xml\b[^>]*+>\s*+)?+(?><!--.*?-->\s*+)*+(<!doctype\s+html\b|<html[\s>])",
    re.IGNORECASE | re.DOTALL,
)


def binary_format(head: bytes) -> Format | None:
    """Return the known format of a file that is not text, from its first bytes, or ``None``."""
    if found := _zip(head) or _ole(head) or _program(head):
        return found
    if (header := _PDF_HEADER.match(head)) and _PDF_BODY.match(head, header.end()):
        return _PDF
    return next((found for magic, found in _compiled() if magic.match(head)), None)


@functools.cache
def _compiled() -> list[tuple[re.Pattern[bytes], Format]]:
    """Compile the table of formats on first use, since that takes a while."""
    return [(re.compile(magic, re.DOTALL), found) for magic, found in _MAGIC]


def _zip(head: bytes) -> Format | None:
    if not head.startswith((b"PK\3\4", b"PK\5\6\0", b"PK\7\x08")):
        return None
    return next((found for name, found in _IN_ZIP if name in head), _ZIP)


def _ole(head: bytes) -> Format | None:
    if not head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return None
    return next(
        (found for name, found in _IN_OLE if name.encode("utf-16-le") in head),
        Format("an old Office document", "catdoc {}"),
    )


def _program(head: bytes) -> Format | None:
    """Recognize a Windows program, which begins with two letters and has more signs further on."""
    start = int.from_bytes(head[60:64], "little")
    is_program = head.startswith(b"MZ") and (
        head[start : start + 4] == b"PE\0\0" or b"\0" in head[2:64]
    )
    return Format("a Windows program") if is_program else None


def looks_binary(head: bytes) -> bool:
    """Return whether bytes without a known format are binary, by their control characters.

    Colored logs, overstruck man pages, form feeds and fields separated by control characters are
    text.
    """
    if len(head) < _JUDGED:
        return False
    others = head.translate(None, _CONTROLS)
    share = 1 - len(others) / len(head)
    kinds = len({*head} & {*_CONTROLS})
    if share >= (_SHARE if kinds > _SEPARATORS else _SHARE_OF_SEPARATORS):
        return True
    if share < _SHARE_IF_UNDECODABLE or kinds < _KINDS:
        return False
    try:
        head[:-4].decode()
    except UnicodeDecodeError as error:
        return error.start < len(head) - 8
    return False


def looks_like_html(text: str) -> bool:
    """Return whether a decoded text begins like HTML or XHTML."""
    return _HTML.match(text) is not None


def advice(found: Format, file: str) -> str:
    """Return a sentence on how to convert a file, with a space before it; empty if it can't be.

    The command reads a file, since not every converter reads stdin. The name of the output has a
    second suffix: if the suffix were replaced, the shell could empty the file that is read.

    Args:
        found: the format of the file.
        file: the name of the file, or a placeholder.
    """
    if not found.converter:
        return ""
    command = found.converter.format(shlex.quote(file))
    return f" Convert it first: {command} > {shlex.quote(file + '.txt')}"
