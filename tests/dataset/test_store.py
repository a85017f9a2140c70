"""Tests of ``dataset.store``: every token is stored, in order."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.dataset.store import Encoded, read_store, smallest_dtype, write_store
from charlstm.tokenizer.base import END_OF_DOCUMENT

VOCABULARIES = (2, 10, 256, 257, 65_536, 65_537, 2**21)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


@pytest.mark.parametrize(
    ("vocab_size", "expected"),
    [
        (1, np.uint8),
        (2, np.uint8),
        (256, np.uint8),
        (257, np.uint16),
        (65_536, np.uint16),
        (65_537, np.uint32),
        (2**21, np.uint32),
    ],
)
def test_smallest_dtype(vocab_size, expected):
    assert smallest_dtype(vocab_size) == np.dtype(expected)


@given(st.integers(1, 2**32))
def test_no_smaller_dtype_can_represent_every_id(vocab_size):
    greatest = np.iinfo(smallest_dtype(vocab_size)).max
    assert greatest >= vocab_size - 1
    assert greatest == 255 or vocab_size - 1 > greatest >> (greatest.bit_length() // 2)


@st.composite
def vocabularies_and_documents(draw):
    """Generate a vocabulary size and documents: (is validation text, pieces of ids)."""
    vocab_size = draw(st.sampled_from(VOCABULARIES))
    stretch = st.lists(st.integers(0, vocab_size - 1), max_size=6)
    document = st.tuples(st.booleans(), st.lists(stretch, min_size=1, max_size=3))
    return vocab_size, draw(st.lists(document, max_size=6))


def encoded(documents):
    for validates, stretches in documents:
        for number, ids in enumerate(stretches, 1):
            yield Encoded(validates, np.array(ids, np.uint32), number == len(stretches))


def marked(documents, side):
    """Return the ids of one part, with ``END_OF_DOCUMENT`` around its documents."""
    ids = []
    for validates, stretches in documents:
        if validates == side:
            ids += [END_OF_DOCUMENT, *chain.from_iterable(stretches)]
    training_ends = not all(validates for validates, _ in documents)
    return [*ids, END_OF_DOCUMENT] if ids and training_ends else ids


@given(vocabularies_and_documents())
def test_a_store_is_read_as_it_was_written(folder, drawn):
    vocab_size, documents = drawn
    write_store(folder, encoded(documents), vocab_size)
    store = read_store(folder, vocab_size)
    assert store.train.tolist() == marked(documents, False)
    assert store.valid.tolist() == marked(documents, True)
    assert store.train.dtype == store.valid.dtype == smallest_dtype(vocab_size)


@pytest.mark.parametrize(
    ("before", "train", "end"),
    [([], [0, 7], []), ([Encoded(False, np.array([5, 6]), True)], [0, 5, 6, 0, 7], [0])],
)
def test_a_cut_document_has_two_beginnings_and_one_end(folder, before, train, end):
    """If training sees no end of a document, validation must not predict one."""
    pieces = [
        *before,
        Encoded(False, np.array([7]), False),
        Encoded(True, np.array([8]), False),
        Encoded(True, np.array([9]), True),
        Encoded(True, np.array([5]), True),
    ]
    write_store(folder, pieces, 10)
    store = read_store(folder, 10)
    assert store.train.tolist() == train
    assert store.valid.tolist() == [0, 8, 9, 0, 5, *end]


def test_the_store_is_mapped_and_read_only(folder):
    write_store(folder, encoded([(False, [[2, 3]]), (True, [[4]])]), 10)
    store = read_store(folder, 10)
    for ids in (store.train, store.valid):
        assert isinstance(ids, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            ids[0] = 1


def test_a_store_is_written_while_pieces_arrive(folder):
    """The pieces before the last one are in the file, not in memory."""

    def pieces():
        for number in range(50):
            yield Encoded(False, np.ones(100_000, np.uint32), True)
            assert (folder / "train.bin").stat().st_size >= number * 100_000

    write_store(folder, pieces(), 10)
    assert read_store(folder, 10).train.size == 50 * 100_001 + 1


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_store(tmp_path, 10)
