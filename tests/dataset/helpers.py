"""Helpers for these tests: write texts, prepare them, and read the stores."""

from __future__ import annotations

import numpy as np
import pytest

from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.dataset.prepare import prepare
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.texts import division_of

PROSE = "The cat sat on the mat. The hat, the cat;\r\nthe rat's bat -- éclair 12 12\n" * 40
levels = pytest.mark.parametrize("level", ["char", "subword", "word"])


def written(folder, *texts, prefix="text"):
    """Write texts to files and return their addresses."""
    paths = [folder / f"{prefix}{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    return tuple(map(str, paths))


def prepared(addresses, level="char", tokenizing=None, *, lines=False, **options):
    options.setdefault("division", division_of(lines))
    names = ("base", "fixed", "stdin", "sha256", "on_reading")
    extra = {name: options.pop(name) for name in names if name in options}
    config = CorpusConfig(addresses=addresses, **options)
    return prepare(config, tokenizing or TokenizerConfig(level=level), **extra)


def documents(ids, tokenizer):
    """Return the documents in one part of a store as text."""
    starts = np.flatnonzero(np.asarray(ids) == END_OF_DOCUMENT)
    assert not ids.size or starts[0] == 0
    return [tokenizer.decode(part[1:]) for part in np.split(np.asarray(ids), starts)[1:]]


def sides(result):
    """Return the documents of the training text and of the validation text."""
    store, both = result.store, []
    for ids in (store.train, store.valid):
        found = documents(ids, result.tokenizer)
        # Drop the end of the last document. It is missing if no document ends in training.
        if store.train.size and ids.size and ids[-1] == END_OF_DOCUMENT:
            assert found.pop() == ""
        both.append(found)
    return tuple(both)


def cut(text, fraction=0.1, whole_words=False):
    """Return where preparation should divide a text."""
    index = int((1 - fraction) * len(text))
    while whole_words and index < len(text) and not text[index].isspace():
        index += 1
    return text[:index], text[index:]


def same(first, second):
    return (
        np.array_equal(first.store.train, second.store.train)
        and np.array_equal(first.store.valid, second.store.valid)
        and first.tokenizer == second.tokenizer
        and first.statistics == second.statistics
        and hashes(first) == hashes(second)
    )


def hashes(result):
    return None if result.lines is None else result.lines.hashes.tolist()
