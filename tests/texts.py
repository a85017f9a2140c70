"""Helpers for tests of the first stages: small corpora and their contents."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma

import pytest
from backports import zstd
from hypothesis import strategies as st

from charlstm.config import FILES, Division
from charlstm.corpus import reading
from charlstm.corpus.documents import Corpus, open_corpus
from charlstm.corpus.reading import Source
from charlstm.errors import CorpusError

COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": functools.partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1}),
}
ADDRESS_KINDS = (
    "a file",
    "a folder",
    "a glob pattern",
    "-",
    "a corpus name",
)  # the kinds of addresses

LINES = Division(unit="line")

texts = st.text(st.sampled_from("ab \r\n\té€\U0001f600"), max_size=40)
documents = st.lists(texts, max_size=4)
block_sizes = st.integers(1, 12)


def division_of(lines):
    return LINES if lines else FILES


def corpus_of(folder, contents, *, lines=False, **settings):
    """Write one file for each text, and return a corpus of all."""
    settings.setdefault("division", division_of(lines))
    paths = [folder / f"{index}.txt" for index in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content.encode())
    return Corpus(tuple(Source(str(path), path) for path in paths), **settings)


def chunks_in_blocks(corpus, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", size)
        return list(corpus.chunks())


def documents_of(chunks):
    """Join chunks to documents. There must be no text after the end of the last document."""
    found, text = [], ""
    for chunk in chunks:
        text += chunk.text
        if chunk.ends_document:
            found.append(text)
            text = ""
    assert text == ""
    return found


def pieces_of(text, size):
    """Divide a text into pieces of one size. The last one may be shorter."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def message(function, *arguments, error=CorpusError, **options):
    """Return the message of the error that a call raises."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    return str(caught.value)


def read(*addresses, **settings):
    return [chunk.text for chunk in open_corpus(addresses, **settings).chunks()]
