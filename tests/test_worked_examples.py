"""The notebook and the script in ``examples`` run from top to bottom, with a shorter training."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
CUT_DOWN = "steps=30, units=16, layers=1, embedding=8, streams=4, sequence_length=16"
EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, sys.argv[1])
"""


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    text = NOTEBOOK.read_text()
    assert '"outputs": []' in text
    path = tmp_path / "notebook.ipynb"
    path.write_text(re.sub(r"minutes=1\b", CUT_DOWN, text))
    binaries = Path(sys.executable).parent
    environ = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    environ |= {"PYTHONPATH": str(NOTEBOOK.parents[1])}
    environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    done = subprocess.run(
        [sys.executable, "-c", EXECUTE, path],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert {"image/png", "text/html"} <= kinds
    assert (tmp_path / "page.html").stat().st_size > 50_000


@pytest.mark.slow
def test_the_script_runs(tmp_path):
    script = tmp_path / "script.py"
    text = (EXAMPLES / "from_python.py").read_text()
    script.write_text(text.replace("minutes=float(minutes)", CUT_DOWN))
    (tmp_path / "my.txt").write_text("The name of a module is the name of its file.\n" * 200)
    environ = os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, "-W", "error", script, "my.txt"],
        cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for heading in ("Trained for 30 steps", "Three samples", "next words", "Bits per character"):
        assert heading in done.stdout
    assert (tmp_path / "checkpoints" / "from-python.svg").read_text().startswith("<?xml")
