"""Tests of ``charlstm plot``."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.messages import assert_error


def test_the_plot_is_text(charlstm, prose, names):
    result = charlstm("plot", prose, names, "--over", "epochs")
    assert result.status == 0
    assert result.err == ""
    assert " epochs\n" in result.out
    assert f"{names.name}: best validation loss" in result.out


def test_a_picture_is_written(charlstm, prose, tmp_path):
    path = tmp_path / "a.svg"
    assert charlstm("plot", prose, "-o", path).out == f"{path}\n"
    assert path.read_text().startswith("<?xml")
    assert_error(charlstm("plot", prose, "-o", path), 1, path, "--overwrite")
    assert charlstm("plot", prose, "-o", path, "--overwrite").status == 0


def test_points_are_printed_as_json(charlstm, prose):
    (line,) = charlstm("plot", prose, "--json", "--over", "minutes").out.splitlines()
    facts = json.loads(line)
    losses = ["train_loss", "valid_loss", "backward_valid_loss"]
    assert list(facts) == ["checkpoint", "minutes", *losses, "best"]
    assert len(facts["minutes"]) == len(facts["valid_loss"])


def test_misuse(charlstm, prose, tmp_path):
    assert_error(charlstm("plot", prose, "-o", tmp_path / "a.gif"), 2, "-o", ".svg", ".png")
    assert_error(charlstm("plot", prose, "--json", "-o", "a.svg"), 2, "--json", "-o")
    assert_error(charlstm("plot", prose, "--overwrite"), 2, "--overwrite", "-o")
    assert_error(charlstm("plot", "nowhere"), 1, "nowhere")


def test_a_missing_matplotlib_is_named(prose, tmp_path):
    code = (
        "import sys; sys.modules['matplotlib'] = None; sys.argv = "
        f"['charlstm', 'plot', {str(prose)!r}, '-o', {str(tmp_path / 'a.svg')!r}];"
        "from charlstm.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert_error(done, 2, "matplotlib", "charlstm[plot]", "-o")
    assert list(tmp_path.iterdir()) == []
