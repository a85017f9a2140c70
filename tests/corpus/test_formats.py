"""Tests of ``corpus.formats``: binary files are recognized by content, and text is not refused."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import random
import sqlite3
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from backports import zstd

from charlstm.corpus.documents import open_corpus
from charlstm.corpus.formats import binary_format, looks_binary, looks_like_html
from charlstm.errors import CorpusError
from tests.messages import names, raises_naming
from tests.texts import COMPRESS, message, read

PROSE = "The quick brown fox jumps over the lazy dog.\n"


def zipped(*members, first=()):
    """Return an archive of files, some of which are stored before the others."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in first:
            archive.writestr(name, content, zipfile.ZIP_STORED)
        for name in members:
            archive.writestr(name, PROSE * 20)
    return data.getvalue()


def tarred():
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        info = tarfile.TarInfo("prose.txt")
        info.size = len(PROSE)
        archive.addfile(info, io.BytesIO(PROSE.encode()))
    return data.getvalue()


def saved(write, content):
    data = io.BytesIO()
    write(data, content)
    return data.getvalue()


def database(path):
    connection = sqlite3.connect(path)
    connection.execute("create table texts (text)")
    connection.commit()
    connection.close()
    return path.read_bytes()


RIFF = b"RIFF\x10\x20\x30\x10"
PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)
FORMATS = {
    "PDF": (PDF, "pdftotext"),
    "PDF, linearized": (b"%PDF-1.4\r\n11 0 obj\r\n<< /Linearized 1 >>", "pdftotext"),
    "PNG": (b"\x89PNG\r\n\x1a\n" + b"\x01IHDR" * 20, ""),
    "JPEG": (b"\xff\xd8\xff\xe1\x10\x20Exif" + b"\xfe\x80" * 50, ""),
    "GIF": (b"GIF89a\x10\x00\x10\x00\x80\x00\x00", ""),
    "WebP": (RIFF + b"WEBPVP8 ", ""),
    "zip": (zipped("one.txt", "two.txt"), "unzip -p"),
    "docx": (zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"), "pandoc"),
    "xlsx": (zipped("[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"), "xlsx2csv"),
    "pptx": (zipped("[Content_Types].xml", "_rels/.rels", "ppt/presentation.xml"), "markitdown"),
    "OpenDocument text": (
        zipped("content.xml", first=[("mimetype", "application/vnd.oasis.opendocument.text")]),
        "pandoc -f odt",
    ),
    "EPUB": (
        zipped("META-INF/container.xml", first=[("mimetype", "application/epub+zip")]),
        "pandoc -f epub",
    ),
    "Word": (OLE + "WordDocument".encode("utf-16-le"), "catdoc"),
    "RTF": (rb"{\rtf1\ansi\deff0 {\fonttbl {\f0 Times;}} Some text.}", "unrtf"),
    "gzip": (gzip.compress(PROSE.encode()), "gunzip"),
    "bzip2": (bz2.compress(PROSE.encode()), "bunzip2"),
    "xz": (lzma.compress(PROSE.encode()), "unxz"),
    "lzma": (lzma.compress(PROSE.encode(), lzma.FORMAT_ALONE), "unxz"),
    "zstd": (zstd.compress(PROSE.encode()), "zstd -dc"),
    "tar": (tarred(), "tar -xOf"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z x -so"),
    "RAR": (b"Rar!\x1a\x07\x01\x00", "unrar p"),
    "ELF": (b"\x7fELF\x02\x01\x01" + bytes(9), ""),
    "Windows program": (b"MZ\x90\x00\x03" + bytes(60), ""),
    "program": (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01", ""),
    "pickle": (pickle.dumps({"a": [1, 2, 3] * 50}), ""),
    "pickle, older": (pickle.dumps({"a": [1, 2]}, protocol=2), ""),
    "NumPy array": (saved(np.save, np.arange(9)), ""),
    "npz": (saved(np.savez, np.arange(9)), ""),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + b"\x01" * 20, ""),
    "safetensors": (struct.pack("<Q", 30) + b'{"a":{"dtype":"F32"}}', ""),
    "WAV": (RIFF + b"WAVEfmt ", ""),
    "MP3": (b"ID3\x04\x00\x00\x01\x02", ""),
    "Ogg": (b"OggS\x00\x02", ""),
    "FLAC": (b"fLaC\x00\x00\x00\x22", ""),
    "MP4": (b"\x00\x00\x00\x20ftypisom", ""),
    "Parquet": (b"PAR1\x15\x04\x15\x10", "parquet-tools"),
}
TEXTS = {
    "BMP": b"BM is short for bitmap, and the beginning of this text.\n",
    "MZ": b"MZ was the programmer after whom the header is named. " * 20,
    "PK": b"PK in prose, as in Phil Katz.\n",
    "PDF explained": b"%PDF is how they begin.\n%PDF-1.4 is a version, and 1 0 obj an object.\n",
    "PDF version": b"%PDF-1.4\nis the first line, and then comes 1 0 obj or so.\n",
    "GIF explained": b"GIF89a is a format of images that move.\n",
    "RIFF": b"RIFF is a container. WAVE is one kind of it.\n",
    "RTF explained": b"{\\rtf is how they begin, mostly}\n",
    "ID3": b"ID3 tags are at the beginning.\n",
    "BZh": b"BZh9 is the beginning of bzip2.\n",
    "FLAC": b"fLaC and OggS and PAR1 and Rar! are four letters.\n",
    "7z": b"7z is short. ustar is not at the end.\n",
    "tar": b"a" * 257 + b"ustar is a name, as in star.\n",
    "ELF": b"ELF is short for executable and linkable format.\n",
    "SQLite": b"SQLite format 3 is what they begin with.\n",
    "form feeds": b"one page\f\nanother\v page\n" * 9,
    "colored log": b"\x1b[1m\x1b[31mERROR\x1b[0m \x1b[2mat\x1b[0m\n" * 99,
    "man page": b"N\bNA\bAM\bME\bE\n     l\bls\bs - list\n" * 9,
    "separators": b"1\x1f2\x1f3\x1e" * 99,
    "fields between Ctrl-A": b"a|b\x01c\x01d\x01\n" * 99,
    "empty fields": b"1\x01\x01\x01\x01\n" * 99,
    "fields and parts of them": b"\x01a\x02b\x03c\x01\n" * 99,
    "chat with colors": b"<\x0304nick\x03> \x02bold\x02 \x1dslanted\x1d \x0f\n" * 99,
    "end of DOS": PROSE.encode() * 9 + b"\x1a",
    "Russian in cp1251": "явление яЪ\n".encode("cp1251") * 9,
    "letters of all kinds": bytes(range(0xA0, 0x100)) * 9,
}


@pytest.mark.parametrize("name", FORMATS)
def test_formats_are_recognized(name):
    data, converter = FORMATS[name]
    found = binary_format(data)
    assert found is not None
    assert found.converter.startswith(converter)
    assert bool(found.converter) == bool(converter)
    assert name.partition(",")[0].lower().rstrip("s") in found.name.lower()


def test_databases_are_recognized(tmp_path):
    assert binary_format(database(tmp_path / "a.db")).name == "an SQLite database"


@pytest.mark.parametrize("name", TEXTS)
def test_texts_that_begin_like_a_format_are_read(here, name):
    Path("a.bin").write_bytes(TEXTS[name])
    expected = TEXTS[name].decode("cp1251")
    assert "".join(read("a.bin", encoding="cp1251")) == expected
    assert "".join(read(".", encoding="cp1251")) == expected


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "auto"])
def test_binary_files_are_refused(here, name, encoding):
    """In any encoding, with any suffix, and also compressed."""
    data, converter = FORMATS[name]
    Path("a.txt").write_bytes(data)
    for suffix, compress in COMPRESS.items():
        Path(f"b.txt{suffix}").write_bytes(compress(data))
    for path in ("a.txt", *(f"b.txt{suffix}" for suffix in COMPRESS)):
        with raises_naming(CorpusError, path) as caught:
            read(path, encoding=encoding, decode_errors="replace")
        assert names(caught.value, f"{converter}") or not converter
    with raises_naming(CorpusError, "a.txt"):
        read(".", encoding=encoding, decode_errors="replace")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_binary_files_of_unknown_format(here, encoding):
    for data in (
        bytes(random.Random(1).choices(range(1, 256), k=4000)),
        *([bytes(range(1, 8)) * 100] if encoding != "utf-16" else []),
        bytes(random.Random(1).randbytes(5000)),
    ):
        Path("a.txt").write_bytes(data)
        with raises_naming(CorpusError, "a.txt", "binary"):
            read("a.txt", encoding=encoding, decode_errors="replace")


def test_a_nul_byte_is_an_error_wherever_it_is(here):
    Path("a.txt").write_bytes(PROSE.encode() * 50_000 + b"\0")
    with raises_naming(CorpusError, "a.txt", "binary", "NUL byte"):
        read("a.txt", decode_errors="replace")


def test_text_in_utf_16_is_not_binary(here):
    for text in (PROSE, "吾輩は猫である。名前はまだ無い。\n", "\ue000\ue001\n"):
        Path("a.txt").write_bytes((text * 50).encode("utf-16-le"))
        assert "".join(read("a.txt", encoding="utf-16-le")) == text * 50
        assert "".join(read(".", encoding="utf-16-le")) == text * 50


def test_few_control_characters_are_text():
    assert not looks_binary(b"\1\2\3")
    assert not looks_binary(PROSE.encode() * 9 + b"\1\2\3\4\5\6\7\x0e\x0f")
    assert looks_binary(b"\1\2\3" * 99)
    assert looks_binary(b"a\1b\2c\3d\4" * 99)


def test_the_message_names_the_format_and_how_to_convert_it(here, sentence):
    Path("my book.pdf").write_bytes(PDF)
    Path("a.png").write_bytes(FORMATS["PNG"][0])
    Path("b.docx.gz").write_bytes(gzip.compress(FORMATS["docx"][0]))
    Path("c.txt").write_bytes(FORMATS["gzip"][0])
    Path("d.bin").write_bytes(bytes(range(1, 256)) * 9)
    expected = ("my book.pdf", "PDF", "pdftotext 'my book.pdf' - > 'my book.pdf.txt'")
    sentence(message(read, "my book.pdf"), *expected)
    sentence(message(read, "a.png"), "a.png", "PNG")
    sentence(message(read, "b.docx.gz"), "b.docx.gz", "docx", "pandoc -f docx -t plain b.docx")
    sentence(message(read, "c.txt"), "c.txt", "gzip-compressed data", "gunzip < c.txt")
    sentence(message(read, "d.bin", decode_errors="replace"), "d.bin", "binary")


# Folders


def test_skipped_files_of_a_folder_are_noted(here):
    Path("a.txt").write_text("text")
    Path("book").write_bytes(PDF)
    Path("deep").mkdir()
    Path("deep/b.txt").write_bytes(b"\x89PNG\r\n\x1a\n")
    corpus = open_corpus(["."])
    (note,) = corpus.notes.sentences
    assert all(part in note for part in ("2", "book", "PDF", "deep/b.txt", "PNG"))
    assert [source.name for source in corpus.sources] == ["a.txt"]
    for number in range(9):
        Path(f"deep/{number}").write_bytes(PDF)
    (note,) = open_corpus(["."]).notes.sentences
    assert "11" in note
    assert "8 more" in note
    assert open_corpus(["a.txt"]).notes.sentences == ()


def test_a_folder_with_only_binary_files(here, sentence):
    Path("a.txt").write_bytes(PDF)
    Path("b").write_bytes(b"a\0b\1")
    Path("c").write_bytes("text\n".encode("utf-16-le"))
    parts = (".", "a.txt", "PDF", "b", "binary", "c", "utf-16-le")
    sentence(message(open_corpus, ["."]), *parts)
    assert open_corpus(["."], encoding="auto").sources[0].name == "c"


# HTML


@pytest.mark.parametrize(
    "text",
    [
        "<!DOCTYPE html><html>",
        "  \n<html lang='de'>",
        "<?xml version='1.0'?>\n<!DOCTYPE html PUBLIC>",
        "<!-- saved -->\n<!doctype HTML>",
        "<HTML>",
    ],
)
def test_html_is_read_with_a_note(here, text):
    assert looks_like_html(text)
    for encoding in ("utf-8-sig", "utf-16"):
        Path("a.txt").write_bytes(text.encode(encoding))
        corpus = open_corpus(["a.txt"])
        for _ in range(2):
            assert "".join(chunk.text for chunk in corpus.chunks()) == text
        (note,) = corpus.notes.sentences
        assert all(part in note for part in ("HTML", "a.txt", "pandoc -f html -t plain"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "html", "<p>a", "a <html>", "<htmlx>", "<?xml?><tei>", "<!-- <html>", "<!--a--><p>"),
        "<!-- a -->\n" * 700 + "# Markdown",
        "<!--" * 2000,
        "\n" * 8000 + "<!--\n" * 8000,
        "<?xml ?>" + "<!---->" * 1000 + " " * 8000 + "<",
    ],
    ids=lambda text: text[:20],
)
def test_other_text_is_not_html(text):
    """This is fast too: there is no backtracking after 700 lines of comments."""
    assert not looks_like_html(text)
