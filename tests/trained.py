"""Checkpoints for the tests of several modules. Each is trained once for all test processes."""

from __future__ import annotations

import fcntl
import os

import pytest

from charlstm.checkpoint.writer import CheckpointWriter
from charlstm.config import CorpusConfig, Division, ModelConfig, TokenizerConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.checkpoint.helpers import FIGURES, begin, settings, weights_for
from tests.cli.helpers import NAMES, RECIPES, TEXT, train


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory):
    """Return a function that trains a model, once for all test processes."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def build(name, text, *options):
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (root / name / "finished").exists():
                (root / name).mkdir(exist_ok=True)
                train(root / name, text, *options, "--overwrite")
                (root / name / "finished").touch()
        return root / name / "model"

    return build


@pytest.fixture(scope="session")
def prose(trained_once):
    """A character-level checkpoint of one document."""
    return trained_once("prose", TEXT)


@pytest.fixture(scope="session")
def names(trained_once):
    """A character-level checkpoint of lines."""
    return trained_once("names", NAMES, "--lines")


@pytest.fixture(scope="session")
def words(trained_once):
    """A word-level checkpoint."""
    return trained_once("words", TEXT, "--level", "word", "--embedding", "16")


@pytest.fixture(scope="session")
def pieces(trained_once):
    """A subword-level checkpoint."""
    return trained_once("pieces", TEXT, "--level", "subword", "--vocab-size", "60")


@pytest.fixture(scope="session")
def prose_both_ways(trained_once):
    """A bidirectional character-level checkpoint of one document."""
    return trained_once("prose_both_ways", TEXT, "--bidirectional")


@pytest.fixture(scope="session")
def names_both_ways(trained_once):
    """A bidirectional character-level checkpoint of lines."""
    return trained_once("names_both_ways", NAMES, "--lines", "--bidirectional")


@pytest.fixture(scope="session")
def words_both_ways(trained_once):
    """A bidirectional word-level checkpoint."""
    options = "--level", "word", "--embedding", "16", "--bidirectional"
    return trained_once("words_both_ways", TEXT, *options)


@pytest.fixture(scope="session")
def pieces_both_ways(trained_once):
    """A bidirectional subword-level checkpoint."""
    options = "--level", "subword", "--vocab-size", "60", "--bidirectional"
    return trained_once("pieces_both_ways", TEXT, *options)


@pytest.fixture(scope="session")
def old_windows(tmp_path_factory):
    """A checkpoint of lines with rules 1, where a carriage return before a newline is text."""
    tokenizer = build_tokenizer([NAMES, "\r"], TokenizerConfig())
    network = ModelConfig(vocab_size=tokenizer.vocab_size, embedding=2, units=3, layers=1)
    corpus = CorpusConfig(addresses=("names.txt",), division=Division(unit="line", rules=1))
    folder = tmp_path_factory.mktemp("old") / "model"
    begin(folder, settings(network, corpus=corpus), tokenizer, lines=LineHashes.from_lines([]))
    CheckpointWriter(folder).model(weights_for(network), FIGURES)
    return folder


@pytest.fixture(scope="session")
def recipes(trained_once):
    """A character-level checkpoint of delimited documents with several lines."""
    return trained_once("recipes", RECIPES, "--delimiter", "====")
