"""A folder for texts, for the tests of this folder."""

from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for texts, and a cache that is empty."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    texts = tmp_path / "texts"
    texts.mkdir()
    return texts
