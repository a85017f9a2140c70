"""Tests of ``corpus.reading``: decoding, binary files, compression and stdin."""

from __future__ import annotations

import bz2
import io
import lzma
import random
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.corpus import reading
from charlstm.corpus.documents import Corpus, open_corpus
from charlstm.corpus.encodings import mark_of
from charlstm.corpus.formats import binary_format
from charlstm.corpus.reading import Source, StreamSource, check_encoding, spool_stdin
from charlstm.errors import ConfigError, StorageError, UsageError
from tests.messages import assert_names
from tests.texts import COMPRESS, block_sizes, chunks_in_blocks, documents_of, message, read

# Decoding


def decoded(data, encoding):
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError as error:
        return None, error


# Bytes without a byte-order mark that do not begin like a binary file.
plain = st.binary(max_size=30).filter(
    lambda data: not mark_of(data, "utf-8") and not binary_format(data.replace(b"\0", b"?"))
)


@given(plain, block_sizes, st.sampled_from(["utf-8", "ascii", "utf-16-le", "cp932"]))
def test_strict_decoding_agrees_with_decoding_the_whole(folder, data, size, encoding):
    path = folder / "data.txt"
    path.write_bytes(data.replace(b"\0", b"?"))
    corpus = Corpus((Source("data", path),), encoding)
    expected, error = decoded(path.read_bytes(), encoding)
    if error is None:
        assert "".join(documents_of(chunks_in_blocks(corpus, size))) == expected
    else:
        assert_names(
            message(chunks_in_blocks, corpus, size),
            encoding,
            "data",
            f"0x{error.object[error.start]:02x}",
            f"offset {error.start}",
            "`decode_errors` replace",
        )


@given(plain, block_sizes)
def test_replacing_agrees_with_decoding_the_whole(folder, data, size):
    path = folder / "data.txt"
    path.write_bytes(data.replace(b"\0", b"?"))
    corpus = Corpus((Source("data", path),), decode_errors="replace")
    expected = path.read_bytes().decode("utf-8", "replace")
    assert "".join(documents_of(chunks_in_blocks(corpus, size))) == expected


def test_the_offset_counts_a_byte_order_mark(here):
    Path("a.txt").write_bytes(b"\xef\xbb\xbfab\xff")
    assert_names(message(read, "a.txt", encoding="utf-8-sig"), "0xff", "offset 5", "utf-8-sig")


def test_an_error_without_position_is_reported_too(here, monkeypatch, sentence):
    class Decoder(io.IncrementalNewlineDecoder):
        def decode(self, *args, **options):
            raise UnicodeError("label too long")

    Path("a.txt").write_bytes(b"a")
    monkeypatch.setattr(
        reading.codecs, "getincrementaldecoder", lambda _: lambda _: Decoder(None, 0)
    )
    sentence(message(read, "a.txt"), "a.txt", "utf-8", "encoding")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-32", "cp1252"])
def test_encoded_text_is_decoded_again(here, encoding):
    Path("a.txt").write_bytes("café\r\n\x85 ".encode(encoding, "replace"))
    expected = Path("a.txt").read_bytes().decode(encoding)
    assert "".join(read("a.txt", encoding=encoding)) == expected
    assert "".join(read(".", encoding=encoding)) == expected


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "undefined", "a\0b", ""])
def test_names_that_are_not_text_encodings(encoding, sentence):
    sentence(
        message(open_corpus, ["a"], encoding=encoding, error=ConfigError),
        f"{encoding!r}",
        "encoding",
        "utf-8",
        "cp1252",
    )


def test_a_binary_file(here, monkeypatch, sentence):
    Path("a.bin").write_bytes(b"\x89PNG and so on \0\xff")
    monkeypatch.setattr(reading, "BLOCK", 4)
    corpus = open_corpus(["a.bin"], encoding="latin-1")
    sentence(
        message(lambda: list(corpus.chunks())),
        "a.bin",
        "binary",
        "NUL byte at offset 15",
        "`encoding`",
        "UTF-16",
        "UTF-32",
    )


# Compressed files


@pytest.mark.parametrize("suffix", [*COMPRESS, ".GZ"])
def test_compressed_files_are_decompressed(here, suffix):
    content = "one\r\ntwo é\n" * 1000
    path = Path(f"plays.txt{suffix}")
    path.write_bytes(COMPRESS[suffix.lower()](content.encode()))
    assert "".join(read(str(path))) == content
    assert open_corpus([str(path)]).name == "plays"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("damage", ["truncated", "altered", "foreign"])
def test_damaged_archives(here, sentence, suffix, damage):
    letters = bytes(random.Random(1).choices(range(32, 127), k=5000))
    data = bytearray(COMPRESS[suffix](letters))
    if damage == "truncated":
        data = data[:-20]
    elif damage == "altered":
        data[len(data) // 2] ^= 0x55
        data[-4:] = bytes(4)
    else:
        data = bytearray(b"this was never compressed")
    Path(f"a{suffix}").write_bytes(data)
    corpus = open_corpus([f"a{suffix}"], encoding="latin-1")
    text = message(lambda: list(corpus.chunks()))
    is_foreign = damage == "foreign"
    parts = ["is not a"] if is_foreign else ["decompressed", "damaged or truncated"]
    assert f"a{suffix}" in text
    assert all(part in text for part in parts)
    sentence(re.sub(r"\(.+\)\.", "(REASON).", text))


def test_a_python_without_a_decompressor(here, monkeypatch, sentence):
    Path("a.bz2").write_bytes(bz2.compress(b"text"))
    monkeypatch.setitem(sys.modules, "bz2", None)
    sentence(message(read, "a.bz2"), "a.bz2", ".bz2 files", "Decompress")


# Stdin


def test_stdin_is_spooled(tmp_path):
    spool = tmp_path / "spool"
    spool_stdin(io.BytesIO("a\r\né".encode() * 10**6), spool)
    corpus = open_corpus(["-", "-"], stdin=spool)
    assert corpus.sources == (Source("stdin", spool),)
    assert "".join(documents_of(corpus.chunks())) == "a\r\né" * 10**6


def test_stdin_that_is_not_given(sentence):
    sentence(message(open_corpus, ["-"], error=UsageError), "-", "stdin", "file")


def test_a_full_disk_leaves_nothing_behind(tmp_path, sentence):
    spool = tmp_path / "spool"
    spool.symlink_to("/dev/full")
    sentence(
        message(spool_stdin, io.BytesIO(b"text"), spool, error=StorageError), spool, "disk is full"
    )
    assert list(tmp_path.iterdir()) == []


def test_stdin_that_is_a_folder(tmp_path, sentence):
    class Folder(io.BytesIO):
        def read(self, size=-1):
            raise IsADirectoryError(21, "Is a directory")

    sentence(message(spool_stdin, Folder(), tmp_path / "spool"), "stdin", "folder")
    assert list(tmp_path.iterdir()) == []


class Arriving(io.BytesIO):
    """A stream in which one piece at a time is ready."""

    def __init__(self, *pieces):
        super().__init__()
        self.pieces = list(pieces)

    def read1(self, size=-1):
        piece = self.pieces.pop(0) if self.pieces else b""
        if isinstance(piece, OSError):
            raise piece
        return piece


def arriving(*pieces, encoding="utf-8", decode_errors="strict"):
    source = StreamSource("stdin", Path("-"), Arriving(*pieces))
    return [list(blocks) for blocks in source.documents(encoding, decode_errors)]


def test_a_stream_is_read_as_it_arrives():
    assert arriving(b"a\n", b"b\xc3", b"\xa9c") == [["a\n", "b", "éc"]]
    assert arriving() == [[]]
    assert arriving(b"\xe9", encoding="latin-1") == [["é"]]
    assert arriving(b"a\xe9", decode_errors="replace") == [["a", "\ufffd"]]


def test_a_stream_that_can_not_be_read(sentence):
    sentence(
        message(arriving, b"ab", b"c\0d"),
        "stdin",
        "binary",
        "NUL byte at offset 3",
        "`encoding`",
        "UTF-16",
        "UTF-32",
    )
    sentence(
        message(arriving, b"ab", b"c\xe9d"),
        "stdin",
        "0xe9",
        "offset 3",
        "utf-8",
        "`encoding`",
        "`decode_errors` replace",
    )
    sentence(
        message(arriving, b"a", OSError(5, "Input/output error")), "stdin", "input/output error"
    )


# Hostile input


@pytest.mark.parametrize("suffix", sorted(COMPRESS))
def test_a_compressed_file_that_expands_too_far(tmp_path, monkeypatch, suffix, sentence):
    monkeypatch.setattr(reading, "EXPANDED", 2**20)
    path = tmp_path / f"bomb.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](b"a" * 50_000_000))
    assert path.stat().st_size * reading.EXPANSION < 50_000_000
    sentence(message(read, str(path)), path, "250 times", "decompress")
    path.write_bytes(COMPRESS[suffix](b"a" * 2**20))
    assert sum(map(len, read(str(path)))) == 2**20


def test_a_dictionary_that_needs_too_much_memory(tmp_path, sentence):
    data = bytearray(lzma.compress(b"text", lzma.FORMAT_ALONE))
    data[1:5] = b"\xff\xff\xff\xff"
    path = tmp_path / "a.xz"
    path.write_bytes(data)
    sentence(message(read, str(path)), path, "memory", "Decompress")


@pytest.mark.parametrize("between", [b"", b"\0" * 4, b"\0" * 4096])
def test_xz_streams_in_a_row(tmp_path, between):
    path = tmp_path / "a.xz"
    path.write_bytes(lzma.compress(b"one ") + between + lzma.compress(b"two") + between)
    assert "".join(read(str(path))) == "one two"


@pytest.mark.parametrize("encoding", ["punycode", "idna", "x" * 5000, "\x1b[2J", "rot13", "zlib"])
def test_encodings_for_host_names_are_refused(encoding):
    with pytest.raises(ConfigError) as caught:
        check_encoding(encoding)
    assert len(str(caught.value)) < 250
    assert str(caught.value).isprintable()
