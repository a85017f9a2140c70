"""A complete checkpoint for the tests in this folder."""

from __future__ import annotations

import pytest

from charlstm.checkpoint.writer import CheckpointWriter
from tests.checkpoint.helpers import (
    FIGURES,
    NETWORK,
    begin,
    weights_for,
)


@pytest.fixture
def folder(tmp_path):
    """A complete checkpoint."""
    path = tmp_path / "run"
    begin(path)
    CheckpointWriter(path).model(weights_for(NETWORK), FIGURES)
    return path
