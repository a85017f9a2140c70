"""Tests of ``curves``: the losses of runs as pictures and as text."""

from __future__ import annotations

import json
import math
import shutil
import warnings
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from charlstm.checkpoint.reader import read_history
from charlstm.curves import comparable, draw_picture, draw_text, read_curve
from charlstm.errors import CheckpointError, UsageError
from tests.messages import raises_naming


def test_a_curve_is_the_history(prose):
    history = read_history(prose)
    curve = read_curve(prose)
    assert curve.name == prose.name
    assert curve.x == tuple(figures.step for figures in history)
    assert curve.valid == tuple(figures.valid_loss for figures in history)
    assert curve.valid[curve.best] == min(curve.valid)
    assert read_curve(prose, "epochs").x == tuple(figures.epoch for figures in history)
    assert read_curve(prose, "minutes").x == tuple(figures.seconds / 60 for figures in history)


def test_runs_with_other_tokenizers_are_compared_in_bits(prose, words):
    alone = [read_curve(prose), read_curve(prose)]
    assert comparable(alone) == (alone, "nats per token")
    curves, unit = comparable([read_curve(prose), read_curve(words)])
    assert unit == "bits per character"
    for folder, curve in zip((prose, words), curves, strict=True):
        last = read_history(folder)[-1]
        assert curve.valid[-1] == pytest.approx(last.valid_bits_per_character, rel=1e-6)


@pytest.fixture
def unvalidated(prose, tmp_path):
    """A run without a validation loss."""
    folder = shutil.copytree(prose, tmp_path / "copy")
    lines = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    for line in lines:
        for key in [key for key in line if key.startswith("valid_")]:
            line[key] = None
    (folder / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_a_run_without_validation_has_no_best_point(unvalidated, words, tmp_path):
    curve = read_curve(unvalidated)
    assert curve.best is None
    assert all(map(math.isnan, curve.valid))
    assert "training loss" in draw_text([curve], "steps")
    draw_picture([curve], "steps", tmp_path / "a.svg", ".svg")
    with raises_naming(UsageError, "copy"):
        comparable([curve, read_curve(words)])


def test_a_run_without_an_evaluation_is_refused(prose, tmp_path):
    folder = shutil.copytree(prose, tmp_path / "copy")
    (folder / "history.jsonl").unlink()
    with raises_naming(CheckpointError, folder):
        read_curve(folder)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_text_fits_its_width(prose, words, width):
    text = draw_text([read_curve(prose), read_curve(words)], "minutes", width, height=8)
    plot, legend = text.split("\n\n")
    assert len(plot.splitlines()) == 10
    assert max(map(len, text.splitlines())) <= width
    assert plot.endswith(" minutes")
    sentences = " ".join(legend.split())
    assert sentences.startswith(f"A {prose.name}: best validation loss")
    assert f" B {words.name}: best validation loss" in sentences
    assert "A" in plot
    assert "B" in plot


def test_a_single_evaluation_can_be_seen(prose, tmp_path):
    curve = replace(read_curve(prose), x=(5.0,), train=(2.0,), valid=(3.0,), best=0)
    text = draw_text([curve], "steps")
    assert text.index("●") < text.index("○")
    path = tmp_path / "a.svg"
    draw_picture([curve], "steps", path, ".svg")
    words = "".join(ElementTree.parse(path).getroot().itertext())
    assert "dashed or x" in words
    assert "best 3.000" in words


def test_characters_without_a_glyph_cause_no_warning(prose, tmp_path):
    curve = replace(read_curve(prose), name="日本")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_picture([curve], "steps", tmp_path / "a.png", ".png")


def test_a_falling_loss_falls_in_the_plot(prose):
    lines = draw_text([read_curve(prose)], "steps", 60, height=12).splitlines()[:12]
    columns = [[line.find("┤") + 1 + i for i, c in enumerate(line.split("┤")[1]) if c > "\u2800"]
               for line in lines]  # fmt: skip
    filled = [row for row, places in enumerate(columns) if places]
    assert min(columns[filled[0]]) <= min(columns[filled[-1]])


def test_a_picture_has_both_losses_and_the_best_point(prose, words, tmp_path):
    path = tmp_path / "curves.svg"
    draw_picture([read_curve(prose), read_curve(words)], "epochs", path, ".svg")
    text = path.read_text()
    ElementTree.fromstring(text)
    for part in ("epochs", "bits per character", prose.name, words.name):
        assert part in text
    again = tmp_path / "again.svg"
    draw_picture([read_curve(prose), read_curve(words)], "epochs", again, ".svg")
    assert again.read_bytes() == path.read_bytes()
    draw_picture([read_curve(prose)], "steps", tmp_path / "a.png", ".png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["_hidden", "$x$", "_$\\frac$", "<b>&", "a\\b"])
def test_a_name_is_shown_as_it_is(prose, tmp_path, name):
    folder = shutil.copytree(prose, tmp_path / name)
    path = tmp_path / "a.svg"
    draw_picture([read_curve(folder)], "steps", path, ".svg")
    shown = "".join(ElementTree.parse(path).getroot().itertext())
    assert name in shown
