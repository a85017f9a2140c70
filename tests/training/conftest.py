"""Requests for small runs."""

import pytest

from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.training.request import Request
from tests.training.helpers import SMALL, TEXT


@pytest.fixture
def fresh_networks():
    """Build every network of a test anew, as another process would."""


@pytest.fixture
def request_for(tmp_path, request):
    """Return a function that makes requests; equal networks are compiled once for all tests.

    Tests of what a run keeps in memory also request ``fresh_networks``.
    """
    if "fresh_networks" not in request.fixturenames:
        request.getfixturevalue("compiled_once")

    def build(name, text=TEXT, level="char", threads=None, **choices):
        corpus = tmp_path / "corpus.txt"
        corpus.write_text(text)
        return Request(
            corpus=CorpusConfig(addresses=(str(corpus),), seed=3),
            tokenizer=TokenizerConfig(level=level),
            size="auto",
            choices=SMALL | choices,
            output=tmp_path / name,
            threads=threads,
        )

    return build
