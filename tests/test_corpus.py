"""Tests of ``charlstm.corpus``: what is found, how it is cut, decoded, counted and divided."""

from __future__ import annotations

import bz2
import functools
import gzip
import io
import itertools
import lzma
import os
import random
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from charlstm import corpus as module
from charlstm.corpus import Chunk, Corpus, Source, divide, open_corpus, spool_stdin
from charlstm.errors import ConfigError, CorpusError, StorageError, UsageError

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": functools.partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
}
ADDRESSES = "a file, a folder, a glob pattern, - for standard input, or python-docs"

texts = st.text(st.sampled_from("ab \r\n\té€\U0001f600"), max_size=40)
documents = st.lists(texts, max_size=4)
block_sizes = st.integers(1, 12)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("corpus")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def corpus_of(folder, contents, **settings):
    """Write one file for each text and open them all."""
    paths = [folder / f"{index}.txt" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode())
    return Corpus(tuple(Source(str(path), path) for path in paths), **settings)


def chunks_in_blocks(corpus, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", size)
        return list(corpus.chunks())


def documents_of(chunks):
    """Join chunks to documents; text after the last end of a document would be lost here."""
    found, text = [], ""
    for chunk in chunks:
        text += chunk.text
        if chunk.ends_document:
            found.append(text)
            text = ""
    assert text == ""
    return found


def message(function, *arguments, error=CorpusError, **options):
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


def read(*addresses, **settings):
    return [chunk.text for chunk in open_corpus(addresses, **settings).chunks()]


# Cutting into chunks


@given(documents, block_sizes)
def test_files_are_documents_and_nothing_is_lost(folder, contents, size):
    chunks = chunks_in_blocks(corpus_of(folder, contents), size)
    assert documents_of(chunks) == [content for content in contents if content]
    assert all(chunk.text for chunk in chunks)


@given(texts, block_sizes)
def test_a_chunk_ends_after_a_newline_where_it_can(folder, content, size):
    chunks = chunks_in_blocks(corpus_of(folder, [content]), size)
    for chunk, following in itertools.pairwise(chunks):
        assert not (chunk.text.endswith("\r") and following.text.startswith("\n"))
        holds_newline = "\n" in chunk.text or "\r" in chunk.text
        assert chunk.text.endswith(("\n", "\r")) or not holds_newline


@given(texts, block_sizes)
def test_lines_end_with_a_line_feed_only(folder, content, size):
    expected = content.split("\n")
    if not expected[-1]:
        expected.pop()
    chunks = chunks_in_blocks(corpus_of(folder, [content], lines=True), size)
    assert chunks == [Chunk(line, True) for line in expected]


@pytest.mark.parametrize("lines", [False, True])
def test_a_line_of_50_megabytes(tmp_path, lines):
    content = "0123456789" * 5_000_000
    corpus = corpus_of(tmp_path, [content + "\nend"], lines=lines)
    assert documents_of(corpus.chunks()) == [content, "end"] if lines else [content + "\nend"]


def test_chunks_have_about_a_million_characters(tmp_path):
    *chunks, last = corpus_of(tmp_path, ["some words\n" * 400_000]).chunks()
    assert len(chunks) >= 2
    assert all(2**19 < len(chunk.text) <= 2**21 for chunk in chunks)
    assert len(last.text) <= 2**21


@pytest.mark.parametrize("lines", [False, True])
def test_memory_does_not_grow_with_the_corpus(tmp_path, lines):
    path = tmp_path / "long.txt.gz"
    path.write_bytes(
        gzip.compress(b"some words in a line of usual length, repeated\n" * 400_000, 1)
    )
    corpus = open_corpus([str(path)], lines=lines)
    tracemalloc.start()
    try:
        assert sum(len(chunk.text) for chunk in corpus.chunks()) > 1.8e7
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


# Decoding


def decoded(data, encoding):
    try:
        return data.decode(encoding), None
    except UnicodeDecodeError as error:
        return None, error


@given(
    st.binary(max_size=30), block_sizes, st.sampled_from(["utf-8", "ascii", "utf-16-le", "cp932"])
)
def test_strict_decoding_agrees_with_decoding_the_whole(folder, data, size, encoding):
    path = folder / "data.txt"
    path.write_bytes(data.replace(b"\0", b"?"))
    corpus = Corpus((Source("data", path),), encoding)
    expected, error = decoded(path.read_bytes(), encoding)
    if error is None:
        assert "".join(documents_of(chunks_in_blocks(corpus, size))) == expected
    else:
        assert message(chunks_in_blocks, corpus, size) == (
            f"data: byte 0x{error.object[error.start]:02x} at offset {error.start} is not "
            f"{encoding}: name the right encoding with --encoding, or put U+FFFD in its place "
            "with --decode-errors replace"
        )


@given(st.binary(max_size=30), block_sizes)
def test_replacing_agrees_with_decoding_the_whole(folder, data, size):
    path = folder / "data.txt"
    path.write_bytes(data.replace(b"\0", b"?"))
    corpus = Corpus((Source("data", path),), decode_errors="replace")
    expected = path.read_bytes().decode("utf-8", "replace")
    assert "".join(documents_of(chunks_in_blocks(corpus, size))) == expected


def test_the_offset_counts_a_byte_order_mark(here):
    Path("a.txt").write_bytes(b"\xef\xbb\xbfab\xff")
    assert "byte 0xff at offset 5 is not utf-8-sig" in message(read, "a.txt", encoding="utf-8-sig")


def test_an_error_without_position_is_reported_too(here, monkeypatch):
    class Decoder(io.IncrementalNewlineDecoder):
        def decode(self, *args, **options):
            raise UnicodeError("label too long")

    Path("a.txt").write_bytes(b"a")
    monkeypatch.setattr(
        module.codecs, "getincrementaldecoder", lambda _: lambda _: Decoder(None, 0)
    )
    assert message(read, "a.txt").startswith("a.txt: its text is not utf-8: name the right")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-32", "cp1252"])
def test_text_comes_back_from_its_encoding(here, encoding):
    Path("a.txt").write_bytes("café\r\n\x85 ".encode(encoding, "replace"))
    expected = Path("a.txt").read_bytes().decode(encoding)
    assert "".join(read("a.txt", encoding=encoding)) == expected
    assert "".join(read(".", encoding=encoding)) == expected


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "undefined", "a\0b", ""])
def test_what_is_no_text_encoding(encoding):
    assert message(open_corpus, ["a"], encoding=encoding, error=ConfigError) == (
        f"{encoding!r} is no text encoding: give one that Python knows, such as utf-8, utf-16, "
        "latin-1 or cp1252"
    )


def test_a_binary_file(here, monkeypatch):
    Path("a.bin").write_bytes(b"\x89PNG and so on \0\xff")
    monkeypatch.setattr(module, "BLOCK", 4)
    corpus = open_corpus(["a.bin"], encoding="latin-1")
    assert message(lambda: list(corpus.chunks())) == (
        "a.bin looks like a binary file (a NUL byte at offset 15): name text files, with "
        "--encoding if they are in UTF-16 or UTF-32"
    )


# Compressed files


@pytest.mark.parametrize("suffix", [*COMPRESS, ".GZ"])
def test_compressed_files_are_read_through(here, suffix):
    content = "one\r\ntwo é\n" * 1000
    path = Path(f"plays.txt{suffix}")
    path.write_bytes(COMPRESS[suffix.lower()](content.encode()))
    assert "".join(read(str(path))) == content
    assert open_corpus([str(path)]).name == "plays"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("damage", ["truncated", "altered", "foreign"])
def test_broken_archives(here, suffix, damage):
    data = bytearray(COMPRESS[suffix](random.Random(1).randbytes(5000).replace(b"\0", b"?")))
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
    assert text.startswith(f"a{suffix} can't be decompressed (")
    assert text.endswith("): the file is broken or truncated, so fetch or compress it again")


def test_a_python_without_a_decompressor(here, monkeypatch):
    Path("a.bz2").write_bytes(bz2.compress(b"text"))
    monkeypatch.setitem(sys.modules, "bz2", None)
    assert message(read, "a.bz2") == (
        "a.bz2: this Python can't read .bz2 files (import of bz2 halted; None in sys.modules): "
        "decompress it first"
    )


# Addresses


@pytest.fixture
def tree(here):
    for name in ["b.txt", "a/z.txt", "a/b/c.md", "c.txt", ".hidden", ".git/config", "note[1].txt"]:
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"<{name}>")
    (here / "a" / "image.png").write_bytes(b"\x89PNG\0")
    (here / "a" / "tar.gz").write_bytes(gzip.compress(b"ustar\0"))
    (here / "a" / "gone.txt").symlink_to("nowhere")
    return here


def test_a_folder_is_its_visible_text_files_sorted_by_path(tree):
    assert read(".") == ["<a/b/c.md>", "<a/z.txt>", "<b.txt>", "<c.txt>", "<note[1].txt>"]
    assert read("a/") == ["<a/b/c.md>", "<a/z.txt>"]


def test_a_named_file_may_be_hidden(tree):
    assert read(".hidden", ".git") == ["<.hidden>", "<.git/config>"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.txt", ["<b.txt>", "<c.txt>", "<note[1].txt>"]),
        ("[bc].txt", ["<b.txt>", "<c.txt>"]),
        ("note[1].txt", ["<note[1].txt>"]),
        ("*/z.*", ["<a/z.txt>"]),
        ("**/*.txt", ["<a/z.txt>", "<b.txt>", "<c.txt>", "<note[1].txt>"]),
        ("a/**/*.md", ["<a/b/c.md>"]),
        ("a/**/b/**/c.md", ["<a/b/c.md>"]),
        ("?/**/b/**", ["<a/b/c.md>"]),
        ("*", ["<b.txt>", "<c.txt>", "<note[1].txt>"]),
    ],
)
def test_a_pattern_is_the_files_it_matches(tree, pattern, expected):
    assert read(pattern) == expected
    assert read(f"{tree}/{pattern}") == expected


def test_a_file_named_twice_counts_once(tree):
    (tree / "again.txt").symlink_to("b.txt")
    assert read("c.txt", "a/../b.txt", "*.txt", "again.txt") == [
        "<c.txt>",
        "<b.txt>",
        "<note[1].txt>",
    ]
    assert len(open_corpus(["python-docs", "python-docs"]).sources) == 1


def test_folders_that_link_to_each_other_end(tree):
    for number in range(3):
        (tree / "a" / "b" / f"loop{number}").symlink_to(tree)
    assert len(read(".")) == 5
    assert read("**/*.md") == ["<a/b/c.md>"]


def test_a_linked_folder_is_read(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "x.txt").write_text("<x>")
    (tree / "a" / "b" / "link").symlink_to(elsewhere)
    assert read("a") == ["<a/b/c.md>", "<x>", "<a/z.txt>"]


def test_addresses_that_stand_for_nothing(tree):
    (tree / "empty").mkdir()
    (tree / "a.txt").touch()
    os.mkfifo(tree / "pipe")
    assert {
        address: message(open_corpus, [address]) for address in ("nix", "", "*.x", "empty")
    } == {
        "nix": f"can't read nix: there is nothing of that name: name {ADDRESSES}",
        "": f"can't read '': there is nothing of that name: name {ADDRESSES}",
        "*.x": f"no file matches the pattern *.x: name {ADDRESSES}",
        "empty": f"empty is a folder without text files: name {ADDRESSES}",
    }
    assert message(open_corpus, ["b.txt/c"]) == "can't read b.txt/c: Not a directory"
    assert message(open_corpus, ["x" * 300]) == f"can't read {'x' * 300}: File name too long"
    assert message(open_corpus, ["pipe"]) == (
        "pipe is not a regular file: pipe it in and name - instead"
    )


def test_no_address():
    assert message(open_corpus, [], error=UsageError) == f"no corpus is named: name {ADDRESSES}"


def test_permission_denied(here, monkeypatch):
    """Root may read everything, so the refusal is staged."""
    Path("a.txt").write_text("a")
    Path("inner").mkdir()
    Path("inner/b.txt").write_text("b")
    expected = "permission denied: ask for the right to read it, or name another file"

    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert message(read, "a.txt") == f"can't read a.txt: {expected}"
        assert message(read, "inner") == f"can't read inner/b.txt: {expected}"
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        assert message(read, "inner") == f"can't read inner: {expected}"
    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", refuse)
        assert message(read, "a.txt") == f"can't read a.txt: {expected}"


def test_names_that_are_not_utf_8_can_be_shown(here):
    path = Path(os.fsdecode(b"caf\xe9.txt"))
    path.write_text("text")
    (source,) = open_corpus([str(path)]).sources
    assert source == Source("caf\\udce9.txt", path)


# Standard input


def test_standard_input_is_spooled(tmp_path):
    spool = tmp_path / "spool"
    spool_stdin(io.BytesIO("a\r\né".encode() * 10**6), spool)
    corpus = open_corpus(["-", "-"], stdin=spool)
    assert corpus.sources == (Source("stdin", spool),)
    assert "".join(documents_of(corpus.chunks())) == "a\r\né" * 10**6


def test_standard_input_that_is_not_given():
    assert message(open_corpus, ["-"], error=UsageError) == (
        "- stands for standard input, which is not given: name a file"
    )


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    spool = tmp_path / "spool"
    spool.symlink_to("/dev/full")
    assert message(spool_stdin, io.BytesIO(b"text"), spool, error=StorageError) == (
        f"can't write {spool}: the disk is full: free some space and run the command again"
    )
    assert list(tmp_path.iterdir()) == []


def test_standard_input_that_is_a_folder(tmp_path):
    class Folder(io.BytesIO):
        def read(self, size=-1):
            raise IsADirectoryError(21, "Is a directory")

    assert message(spool_stdin, Folder(), tmp_path / "spool") == (
        "can't read stdin: it is a folder: redirect a file instead"
    )
    assert list(tmp_path.iterdir()) == []


# The embedded corpus


def test_the_embedded_corpus_is_the_topics_in_order(here):
    from pydoc_data.topics import topics

    corpus = open_corpus(["python-docs"], encoding="utf-16")
    assert documents_of(corpus.chunks()) == [topics[name] for name in sorted(topics)]
    assert corpus.fingerprint().characters == sum(map(len, topics.values())) > 300_000


def test_a_file_of_its_name_comes_first_and_a_folder_does_not(here):
    Path("python-docs").mkdir()
    assert len(read("python-docs")) > 50
    Path("python-docs").rmdir()
    Path("python-docs").write_text("mine")
    assert read("python-docs") == ["mine"]


def test_a_python_without_its_documentation(monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    assert message(open_corpus, ["python-docs"]) == (
        "python-docs is missing from this Python: name a file of your own"
    )


# Fingerprint and name


@given(documents, block_sizes, st.booleans())
def test_the_fingerprint_counts_and_does_not_depend_on_blocks(folder, contents, size, lines):
    corpus = corpus_of(folder, [*contents, "x"], lines=lines)
    whole = corpus.fingerprint()
    chunks = chunks_in_blocks(corpus, size)
    assert whole.characters == sum(len(chunk.text) for chunk in chunks)
    assert whole.documents == sum(chunk.ends_document for chunk in chunks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", size)
        assert corpus.fingerprint() == whole


@given(documents, documents, st.booleans(), st.booleans())
def test_the_hash_tells_corpora_apart(folder, one, other, one_lines, other_lines):
    kinds, hashes = [], []
    for contents, lines in ((one, one_lines), (other, other_lines)):
        corpus = corpus_of(folder, [*contents, "x"], lines=lines)
        kinds.append((lines, documents_of(corpus.chunks())))
        hashes.append(corpus.fingerprint().sha256)
    assert (kinds[0] == kinds[1]) == (hashes[0] == hashes[1])


def test_the_hash_depends_on_where_documents_end(tmp_path):
    contents = (["ab", "c"], ["a", "bc"], ["abc"])
    hashes = {corpus_of(tmp_path, one).fingerprint().sha256 for one in contents}
    assert len(hashes) == 3


@pytest.mark.parametrize("lines", [False, True])
def test_an_empty_corpus(here, lines):
    Path("a.txt").write_text("\n\n" if lines else "")
    Path("b.txt").touch()
    corpus = open_corpus(["a.txt", "b.txt"], lines=lines)
    assert message(corpus.fingerprint) == (
        "a.txt, b.txt: the corpus is empty, it needs text to learn from"
    )


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("data/tinyshakespeare.txt.gz", "tinyshakespeare"),
        ("names.txt", "names"),
        ("-", "stdin"),
        ("python-docs", "python-docs"),
        ("books/", "books"),
        ("books.2024", "books.2024"),
        (".", "here"),
        ("books/..", "here"),
        ("/", "corpus"),
        ("mail/**/*.txt", "mail"),
        ("my poems!.md", "my-poems"),
        (".bashrc", "bashrc"),
        ("été.txt", "été"),
        (os.fsdecode(b"caf\xe9.txt"), "caf"),
        ("x" * 100, "x" * 60),
    ],
)
def test_names_are_fit_for_folders(tmp_path, monkeypatch, address, name):
    (tmp_path / "here" / "books").mkdir(parents=True)
    (tmp_path / "here" / "books.2024").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Corpus((), addresses=(address, "other.txt")).name == name


@given(st.text(st.characters(exclude_characters="\0"), max_size=80))
def test_every_address_gives_a_name(address):
    name = Corpus((), addresses=(address,)).name
    assert name
    assert "/" not in name
    assert not name.startswith(".")
    assert len(name.encode()) <= 240


# Training and validation text


def divided(corpus, size, fraction, **options):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", size)
        characters = sum(len(chunk.text) for chunk in corpus.chunks())
        return list(divide(corpus, characters, fraction, **{"seed": 1, **options}))


def boundary_of(contents, fraction, whole_words):
    """Return how many characters train, found character by character."""
    text = "".join(contents)
    ends = set(itertools.accumulate(map(len, contents)))
    position = int((1 - fraction) * len(text))
    while whole_words and position not in {0, *ends} and not text[position].isspace():
        position += 1
    return position


fractions = st.floats(0.01, 0.99)


@given(documents, block_sizes, fractions, st.booleans())
def test_the_first_part_trains_and_the_rest_validates(folder, contents, size, part, whole_words):
    pairs = divided(corpus_of(folder, contents), size, part, whole_words=whole_words)
    sides = [validates for validates, _ in pairs]
    assert sides == sorted(sides)
    assert documents_of(chunk for _, chunk in pairs) == [text for text in contents if text]
    assert all(chunk.text for _, chunk in pairs)
    trained = sum(len(chunk.text) for validates, chunk in pairs if not validates)
    assert trained == boundary_of(contents, part, whole_words)


def test_the_division_of_the_usual_benchmark(tmp_path):
    pairs = divided(corpus_of(tmp_path, ["x" * 1_115_394]), 2**16, 0.1, whole_words=False)
    assert sum(len(chunk.text) for validates, chunk in pairs if not validates) == 1_003_854


@given(st.lists(st.sampled_from(["ann", "bob", "", "é\r", "cy"]), max_size=30), fractions)
def test_equal_lines_fall_on_the_same_side(folder, lines, part):
    corpus = corpus_of(folder, ["".join(f"{line}\n" for line in lines)], lines=True)
    pairs = divided(corpus, 2**20, part, whole_words=False)
    assert [chunk.text for _, chunk in pairs] == lines
    sides = {(chunk.text, validates) for validates, chunk in pairs}
    assert len(sides) == len(set(lines))


def test_about_the_fraction_of_lines_validates_by_seed(tmp_path):
    corpus = corpus_of(tmp_path, ["".join(f"{n}\n" for n in range(10_000))], lines=True)

    def drawn(fraction, seed):
        pairs = divide(corpus, 0, fraction, seed=seed, whole_words=True)
        return {chunk.text for validates, chunk in pairs if validates}

    assert 900 < len(drawn(0.1, 1)) < 1100
    assert drawn(0.1, 1) < drawn(0.2, 1)
    assert drawn(0.1, 1) == drawn(0.1, 1)
    assert len(drawn(0.1, 1) & drawn(0.1, 2**32 - 1)) < 200


# Weight


def test_decompressors_are_imported_when_needed():
    code = (
        "import sys, charlstm.corpus; print({'gzip', 'numpy', 'backports.zstd'} & {*sys.modules})"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout == "set()\n"
