"""Tests of ``system.cache``: one process prepares texts while another clears the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import pytest

from charlstm.system import cache

# Builds a token store, and pauses in the middle of it the first time until it gets a line.
PAUSED = """
import sys
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.dataset import prepare as preparation

real = preparation.write_store

def write(folder, pieces, vocab_size):
    real(folder, pieces, vocab_size)
    preparation.write_store = real
    print("paused", flush=True)
    sys.stdin.readline()

preparation.write_store = write
prepared = preparation.prepare(CorpusConfig(addresses=(sys.argv[1],)), TokenizerConfig())
print(prepared.store.train.size + prepared.store.valid.size)
"""

# Prepares texts as fast as it can until stdin ends, and compares the results.
BUSY = """
import select, sys
from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.dataset.prepare import prepare

def prepared(path):
    found = prepare(CorpusConfig(addresses=(path,)), TokenizerConfig())
    return found.tokenizer.vocabulary, bytes(found.store.train), bytes(found.store.valid)

expected = {path: prepared(path) for path in sys.argv[1:]}
print("ready", flush=True)
rounds = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    for path in sys.argv[1:]:
        assert prepared(path) == expected[path]
    rounds += 1
print(rounds)
"""


@pytest.fixture
def texts(tmp_path, monkeypatch):
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    paths = [tmp_path / "one.txt", tmp_path / "two.txt"]
    for path in paths:
        path.write_text(f"{path.name} is a short text. " * 20)
    return [str(path) for path in paths]


@contextmanager
def running(program, *arguments):
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def finished(process):
    """Let a program run to its end; return the last line that it prints."""
    out, err = process.communicate("go on\n", timeout=120)
    assert process.returncode == 0, err
    return out.splitlines()[-1]


@pytest.mark.parametrize("how", ["cleared", "evicted", "removed"])
def test_the_cache_is_removed_while_a_text_is_prepared(texts, monkeypatch, how):
    with running(PAUSED, texts[0]) as process:
        assert process.stdout.readline() == "paused\n"
        (vocabulary,) = cache.entries()  # the tokenizer is complete, the token store is not
        if how == "cleared":
            assert cache.clear() == [vocabulary]
        elif how == "evicted":
            monkeypatch.setattr(cache, "limit", lambda: 0)
            monkeypatch.setattr(cache, "YOUNG_SECONDS", 0)
            cache.evict(keep=cache.cache_folder() / "nothing")
        else:
            shutil.rmtree(cache.cache_folder())
        assert cache.entries() == []
        marks = 2  # the beginning and the end of the document
        assert int(finished(process)) == len("one.txt is a short text. " * 20) + marks
    assert [entry.path.name.split("-")[0] for entry in cache.entries()] == ["tokens"]


@pytest.mark.parametrize("processes", [1, 3])
def test_clearing_repeatedly_makes_nobody_fail(texts, processes):
    with ExitStack() as stack:
        busy = [stack.enter_context(running(BUSY, *texts)) for _ in range(processes)]
        for process in busy:
            assert process.stdout.readline() == "ready\n", process.stderr.read()
        end, cleared = time.monotonic() + 1.5, 0
        while time.monotonic() < end:
            cleared += len(cache.clear())
        rounds = [int(finished(process)) for process in busy]
    assert cleared > 0
    assert min(rounds) > 0
    unfinished = [name for name in os.listdir(cache.cache_folder()) if name.startswith(".")]
    assert unfinished == []
