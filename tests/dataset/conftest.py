"""The fixture of a folder for texts."""

from __future__ import annotations

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a folder for texts, with an empty cache."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    texts = tmp_path / "texts"
    texts.mkdir()
    return texts
