"""The pictures of the docs: well-formed, legible, and drawn from the data stored with them."""

import itertools
import json
import re
import subprocess
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import commands, curve, pipeline, sample, svg
from figures.__main__ import FIGURES, FOLDER, main, make
from figures.themes import DARK, LIGHT, THEMES

HOSTILE = "<a href='x'>&amp; \"\x00\x1b[31m\ud800\uffff ]]> é"
RUN = [
    {"step": 20, "epoch": 0.5, "train_loss": None, "valid_loss": 3.1},
    {"step": 400, "epoch": 10.0, "train_loss": 2.0, "valid_loss": 2.2},
    {"step": 800, "epoch": 20.0, "train_loss": 1.0, "valid_loss": 2.6},
]
DATA = {
    "pipeline": {
        "text": HOSTILE[:6],
        "ids": [34, 53, 1],
        "streams": 48,
        "sequence_length": 32,
        "layers": 2,
        "units": 512,
        "bytes": 3_600_000,
        "start_seconds": 0.26,
        "prompt": "<",
        "generated": HOSTILE,
        "interrupted": "a & b",
        "predictions": [["<", 0.5], ["&", 0.125]],
        "scores": [[2.5, "<b>"], [6.0, "\x01"]],
        "evaluated": "A & B",
        "bits_per_character": 2.25,
    },
    "sample": {
        "command": f"charlstm generate x -p '{HOSTILE[:9]}'",
        "prompt": HOSTILE[:9],
        "tokens": [[each, index / 40] for index, each in enumerate(f"{HOSTILE}\n<&>\n")],
    },
    "units": {
        "text": f"{HOSTILE[:20]}\n\n<&>\n",
        "units": [
            {
                "layer": 1,
                "unit": 7,
                "follows": "<b> & more",
                "correlation": -0.5,
                "values": [round(index % 9 / 4 - 1, 2) for index in range(30)],
            }
        ],
    },
    "curve": {"characters": 80_000, "default": RUN, "without": RUN[:2]},
}
CASES = [(name, theme) for name in FIGURES for theme in THEMES]
SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(("name", "theme"), CASES)
@pytest.mark.parametrize("is_stored", [False, True])
def test_a_picture_is_well_formed_and_described(name, theme, is_stored):
    picture = ElementTree.fromstring(FIGURES[name].draw(data_of(name, is_stored), theme))
    assert [each.tag for each in picture[:2]] == [f"{SVG}title", f"{SVG}desc"]
    assert picture.get("role") == "img"
    assert picture.get("aria-labelledby").split() == [each.get("id") for each in picture[:2]]
    assert all(len(each.text) > 20 for each in picture[:2])
    assert {each.tag.removeprefix(SVG) for each in picture.iter()} <= {
        *("svg", "title", "desc", "style", "rect", "text", "polyline", "polygon", "circle")
    }
    names = {name for each in picture.iter() for name in each.attrib}
    assert not any("href" in name or name.startswith("on") for name in names)


@pytest.mark.parametrize(("name", "theme"), CASES)
@pytest.mark.parametrize("is_stored", [False, True])
def test_texts_are_within_the_picture_and_large_enough(name, theme, is_stored):
    if name == "pipeline" and not is_stored:
        pytest.skip("its examples are longer than any that is measured")
    picture = ElementTree.fromstring(FIGURES[name].draw(data_of(name, is_stored), theme))
    _, _, width, height = map(float, picture.get("viewBox").split())
    assert width == svg.WIDTH
    for text in picture.iter(f"{SVG}text"):
        left, right = extent(text)
        assert left >= 10, text.text
        assert right <= width - 10, text.text
        assert 20 < float(text.get("y")) < height - 10
        assert float(text.get("font-size")) >= 15


@pytest.mark.parametrize("theme", THEMES)
def test_colors_have_contrast(theme):
    for color in (theme.text, theme.muted, theme.orange.strong, theme.blue.strong):
        assert contrast(color, theme.background) >= 4.5
    for hue in (theme.orange, theme.blue):
        assert contrast(hue.strong, hue.tint) >= 4.5
        assert contrast(theme.background, hue.strong) >= 4.5
    for fill, color in theme.heat:
        assert contrast(fill, color) >= 4.5
    steps = [luminance(fill) for fill, _ in theme.heat]
    assert steps == sorted(steps, reverse=theme is LIGHT)
    for one, other in itertools.pairwise(fill for fill, _ in theme.heat):
        assert contrast(one, other) >= 1.2


@given(text=st.text())
def test_any_text_is_escaped(text):
    drawing = svg.Drawing(DARK, text, text)
    drawing.text(0, 0, text)
    drawing.mono(0, 0, text)
    picture = ElementTree.fromstring(drawing.finish(100))
    expected = re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)
    expected = re.sub("\r\n?", "\n", expected)  # as XML is read
    title, shown = picture.find(f"{SVG}title"), picture.findall(f"{SVG}text")
    assert (title.text or "") == (shown[0].text or "") == expected
    assert [each.text for each in shown[1:]] == text_runs(text)


def text_runs(text):
    runs = re.findall(r"\S+", text)
    return [re.sub("[^ -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", run) for run in runs]


@given(value=st.floats(-1e6, 1e6))
def test_numbers_are_short(value):
    assert re.fullmatch(r"0|-?\d+(\.\d?[1-9])?", svg.number(value))
    assert float(svg.number(value)) == pytest.approx(value, abs=0.0051)


def test_cells_of_monospaced_text():
    drawing = svg.Drawing(LIGHT, "", "")
    drawing.mono(100, 0, "a  bc", size=10)
    first, second = ElementTree.fromstring(drawing.finish(100)).iter(f"{SVG}text")
    assert (first.text, first.get("x")) == ("a", "100")
    assert (second.text, second.get("x")) == ("bc", "118.06 124.08")


@given(
    tokens=st.lists(st.tuples(st.text("ab \n", min_size=1, max_size=4), st.floats(0, 1))),
    prompt=st.text("ab ", max_size=9),
)
def test_lines_of_a_sample(tokens, prompt):
    lines = sample.lay_out(prompt, tokens)
    assert len(lines) <= sample.MOST_LINES
    assert all(0 < len(line) <= sample.COLUMNS for line in lines)
    shown = "".join(cell.text for line in lines for cell in line)
    text = (prompt + "".join(text for text, _ in tokens)).replace("\n", sample.LINE_END)
    assert text.startswith(shown)
    assert shown == text or len(lines) == sample.MOST_LINES


def test_long_lines_of_a_sample_end_after_a_blank():
    words = "abcdefg " * 20
    lines = sample.lay_out("", [[each, 1.0] for each in words])
    ends = ["".join(cell.text for cell in line)[-1] for line in lines]
    assert len(ends) > 2
    assert set(ends) == {" "}


@pytest.mark.parametrize(
    ("probability", "heat"), [(1.0, 0), (0.9, 0), (0.89, 1), (0.2, 2), (0.05, 3), (0.0, 4)]
)
def test_classes_of_probability(probability, heat):
    assert sample.heat_of(probability) == heat


@given(low=st.floats(0, 100), more=st.floats(0.001, 1e5), most=st.integers(2, 9))
def test_ticks_are_around_a_range(low, more, most):
    found = curve.ticks(low, low + more, most)
    assert found[0] <= low + 1e-6 * more
    assert found[-1] >= low + more - 1e-6 * more
    assert 2 <= len(found) <= most + 2


def test_the_best_point_is_the_lowest_validation_loss():
    assert curve.best_of(RUN)["step"] == 400


def test_a_label_is_above_the_curves_that_it_would_meet():
    curves = [[(0, 100), (100, 100)], [(0, 80), (100, 80)], [(0, 20), (100, 20)]]
    assert curve.above(curves, 40, 60, 95, height=14) == 77
    assert curve.above(curves[2:], 40, 60, 95, height=14) == 95
    assert curve.above(curves, 140, 160, 95, height=14) == 95


@pytest.mark.parametrize(("name", "theme"), CASES)
def test_the_stored_pictures_are_drawn_from_the_stored_data(name, theme):
    drawn = FIGURES[name].draw(data_of(name, is_stored=True), theme)
    assert (FOLDER / f"{name}-{theme.name}.svg").read_text("utf-8") == drawn, (
        "run: python -m figures --redraw"
    )


def test_data_is_measured_unless_it_is_only_drawn_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(curve, "measure", lambda: DATA["curve"])
    make("curve", tmp_path)
    assert json.loads((tmp_path / "curve.json").read_text()) == DATA["curve"]
    monkeypatch.setattr(curve, "measure", None)
    make("curve", tmp_path, redraw=True)
    names = ["curve-dark.svg", "curve-light.svg", "curve.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert "curve-dark.svg" in capsys.readouterr().out


def test_unknown_pictures_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["other"])
    assert "other: no such picture" in capsys.readouterr().err


def test_the_two_runs_differ_in_dropout_only(monkeypatch):
    asked = []

    def charlstm(*arguments):
        asked.append(arguments)
        folder = arguments[arguments.index("-o") + 1]
        folder.mkdir()
        more = {"seconds": 1.0, "learning_rate": 0.1}
        lines = [json.dumps({**each, **more}) + "\n" for each in RUN]
        (folder / "history.jsonl").write_text("".join(lines))

    monkeypatch.setattr(curve, "charlstm", charlstm)
    data = curve.measure()
    assert data == {"characters": curve.CHARACTERS, "default": RUN, "without": RUN}
    default, without = map(list, asked)
    at = without.index("--dropout")
    assert without[at : at + 2] == ["--dropout", 0]
    del without[at : at + 2]
    differing = [one for one, other in zip(default, without, strict=True) if one != other]
    assert differing == [default[default.index("-o") + 1]]


def test_a_sample_is_measured():
    data = sample.measure()
    assert data["prompt"] in data["command"]
    assert all(0 < probability <= 1 for _, probability in data["tokens"])
    ElementTree.fromstring(sample.draw(data, LIGHT))


def test_the_stages_are_measured(monkeypatch):
    monkeypatch.setattr(pipeline, "STARTS", 1)
    data = pipeline.measure()
    assert len(data["ids"]) == len(data["text"])
    assert [text for _, text in data["scores"]] == list(pipeline.SCORED)
    ElementTree.fromstring(pipeline.draw(data, DARK))


def test_a_command_that_fails_is_an_error(tmp_path):
    for run in (commands.charlstm, commands.seconds_to_output):
        with pytest.raises(subprocess.CalledProcessError):
            run("info", tmp_path)


def data_of(name, is_stored):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8")) if is_stored else DATA[name]


def extent(text):
    """Return where a text begins and ends, by the estimate of widths."""
    places = [float(place) for place in text.get("x").split()]
    if text.get("class") == "mono":
        return places[0], places[-1] + float(text.get("font-size")) * svg.MONO_ADVANCE
    bold = text.get("font-weight") is not None
    width = svg.width_of(text.text, float(text.get("font-size")), bold=bold)
    left = places[0] - width * {None: 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    return left, left + width


def luminance(color):
    """Return the relative luminance of #rrggbb as WCAG 2.2 defines it."""
    channels = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)
