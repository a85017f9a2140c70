"""Tests of ``corpus.spool``: stdin is in a file while it is needed."""

from __future__ import annotations

import io

import pytest

from charlstm.corpus.spool import spooled_stdin
from charlstm.errors import UsageError


def test_stdin_is_in_a_file_while_it_is_needed(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"text")))
    with spooled_stdin(("a", "-")) as path:
        assert path.read_bytes() == b"text"
    assert not path.parent.exists()
    with spooled_stdin(("a",)) as path:
        assert path is None


def test_stdin_that_is_closed_or_given_twice(monkeypatch, sentence):
    monkeypatch.setattr("sys.stdin", None)
    for addresses, part in ((("-",), "closed"), (("-", "-"), "twice")):
        with pytest.raises(UsageError) as caught, spooled_stdin(addresses):
            pass
        sentence(caught.value, "stdin", part)
