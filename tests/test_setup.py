"""Tests of ``setup.py``: only the shipped models are in the package."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from charlstm.checkpoint.names import SHIPPED

SETUP = Path(__file__).parents[1] / "setup.py"


def test_the_shipped_models_go_into_the_package(tmp_path):
    pytest.importorskip("setuptools")
    shutil.copy(SETUP, tmp_path)
    (tmp_path / "setup.cfg").write_text("[metadata]\nname=charlstm\n[options]\npackages=charlstm\n")
    (tmp_path / "charlstm").mkdir()
    (tmp_path / "charlstm/__init__.py").touch()
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "catalog.json").write_text("[]")
    for name in (*SHIPPED, "mine"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
        (tmp_path / "checkpoints" / name / "config.json").touch()
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", "built"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    found = sorted(path.parent.name for path in (tmp_path / "built").glob("charlstm/shipped/*/*"))
    assert found == sorted(SHIPPED)
    catalog = tmp_path / "built" / "charlstm" / "shipped" / "catalog.json"
    assert catalog.read_text() == "[]"
