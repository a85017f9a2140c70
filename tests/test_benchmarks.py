"""Tests of the parts of the benchmarks that do not train."""

import json
import lzma
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import levels, models, recipe
from charlstm.checkpoint.reader import read_checkpoint
from tests.cli.helpers import TEXT


@given(text=st.text("aé€𝄞", min_size=1), size=st.integers(1, 40))
def test_short_texts_are_cut_between_characters(text, size):
    data = text.encode()
    train, valid = recipe.halves(data, size)
    assert data.startswith(train + valid)
    train.decode(), valid.decode()
    assert len(train) > min(size, len(data)) - 4
    assert len(train + valid) > min(2 * size, len(data)) - 4


def test_the_first_files_within_a_limit(tmp_path):
    for name, size in (("b", 40), ("a", 50), ("c", 30), ("d", 1)):
        with lzma.open(tmp_path / f"{name}.xz", "wb") as file:
            file.write(b"x" * size)
    names = [path.stem for path in recipe.first_files(tmp_path.glob("*.xz"), 100)]
    assert names == ["a", "b"]  # d would fit, but c is before it


def test_a_source_tree_runs_in_any_folder(tmp_path, monkeypatch):
    for place in (tmp_path / "source", tmp_path):
        (place / "charlstm").mkdir(parents=True)
        (place / "charlstm" / "__init__.py").touch()
        code = f"import json, sys\nprint(json.dumps([{place.name!r}, *sys.argv[1:]]))\n"
        (place / "charlstm" / "__main__.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    said = recipe.charlstm(tmp_path / "source", tmp_path, "train", "--seed", 1)
    assert said == ["source", "train", "--seed", "1", "-q", "--json"]


def test_versions_run_in_turn_and_a_failure_ends_only_its_case(monkeypatch, capsys):
    def run(source, case, budget, seed):
        if case.options:
            raise RuntimeError("it failed")
        return recipe.Run({}, {"old": 2.0, "new": 1.5}[source] + seed / 10, {}, 60.0)

    monkeypatch.setattr(recipe, "run", run)
    cases = {"bad": lambda: recipe.Case((), ("--lines",)), "good": lambda: recipe.Case(())}
    versions = {"other": "old", "this": "new"}
    assert not recipe.measure(cases, ["bad", "good"], versions, [1, 2], 1)
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line]
    assert [(row[1], row[2]) for row in rows if row[0] == "| good"][:4] == [
        *(("other", "1"), ("this", "1"), ("other", "2"), ("this", "2"))
    ]
    assert sum("it failed" in row[-1] for row in rows) == 2
    assert rows[-1][1:] == ["other 2.1500 (2), this 1.6500 (2)", "-0.5000 nats", "-23.26% |"]


@pytest.mark.parametrize(
    ("minutes", "scale", "budget"),
    [(None, 1, ()), (3, 1, ("--minutes", "3")), (3, 0.5, ("--minutes", "1.5"))],
)
def test_only_a_scale_changes_the_minutes(minutes, scale, budget):
    assert recipe.budget_of(recipe.Case((), (), minutes), scale) == budget


def test_unknown_cases_and_sources_are_refused(tmp_path, capsys):
    for arguments in (["other-1"], ["names-1", "--against", str(tmp_path)]):
        with pytest.raises(SystemExit) as end:
            recipe.main([str(tmp_path), *arguments])
        assert end.value.code == 2
    assert "other-1: no such case" in (said := capsys.readouterr().err)
    assert "no source tree of charlstm" in said


def test_a_text_is_scored_from_its_beginning(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffaé\r\n€".encode())
    with lzma.open(tmp_path / "a.txt.xz", "wb") as file:
        file.write((tmp_path / "a.txt").read_bytes())
    for name in ("a.txt", "a.txt.xz"):
        assert levels.beginning(tmp_path / name, 3) == "aé\r"
        assert levels.beginning(tmp_path / name, 99) == "aé\r\n€"


def test_levels_are_compared_in_one_table(tmp_path, monkeypatch, capsys):
    told = {
        "train": {"steps": 7, "tokens": 300},
        "evaluate": {"characters": 90, "tokens": 30, "bits_per_character": 2.0},
        "generate": {"text": "abc"},
        "score": {},
    }
    (tmp_path / "test.txt").write_text("abc")

    def charlstm(*arguments):
        if arguments[0] == "train":
            folder = arguments[arguments.index("-o") + 1]
            folder.mkdir()
            network = {"layers": 1, "units": 2, "vocab_size": 3}
            config = {"model": network, "provenance": {"train_tokens": 200}}
            (folder / "config.json").write_text(json.dumps(config))
        return told[arguments[0]], 0.5

    monkeypatch.setattr(levels, "charlstm", charlstm)
    levels.main(["1", str(tmp_path / "test.txt"), "text"])
    rows = capsys.readouterr().out.splitlines()[-2:]
    cells = "1 x 2 | 3 | 3.00 | 7 | 1.50 | 1.3863 | 6 | 0.50 |"
    assert rows == [f"| char | {cells}", f"| subword | {cells}"]


def test_held_out_novels_are_not_in_the_training_text(tmp_path):
    (tmp_path / "novels").mkdir()
    for name in ("Austen_Emma_1815", *recipe.HELD_OUT):
        (tmp_path / "novels" / f"{name}.txt.xz").touch()
    english = models.models(tmp_path)["english"]
    assert [path.name for path in english.text] == ["Austen_Emma_1815.txt.xz"]
    assert sorted(path.name.split(".")[0] for path in english.held_out) == sorted(recipe.HELD_OUT)


def test_a_model_is_shipped_with_8_bit_weights_and_a_card(prose, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    novel = tmp_path / "Nobody_Nothing_1900.txt.xz"
    novel.write_bytes(lzma.compress(TEXT[:2000].encode()))
    told = models.Model((), ("--size", "tiny"), "Some text.", (novel,))
    for _ in range(2):  # it replaces the one before
        models.ship("english", told, prose)
    shipped = read_checkpoint(tmp_path / "english")
    assert shipped.config.weights == "int8"
    card = (tmp_path / "english" / "README.md").read_text()
    assert card.startswith("# english\n")
    assert re.search(r"\| Nobody Nothing 1900 \| 2,000 \| 0\.\d{4} \| 0\.\d{4} \|", card)
    assert "Some text." in card
    assert "charlstm train TEXT --size tiny" in card
