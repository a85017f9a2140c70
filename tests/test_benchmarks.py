"""The parts of the benchmarks that decide what is measured; none of them trains."""

import itertools
import json
import lzma
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from benchmarks import recipe, subwords

TEXT = st.text("aé’ \n\t1_²€𝄞\ue000", max_size=30)


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
    assert names == ["a", "b"]  # d would fit, but c comes before it


def test_a_source_tree_runs_whatever_the_folder_holds(tmp_path, monkeypatch):
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


@given(TEXT)
@example("a ’a’a a  \n\n a")
def test_words_are_all_of_a_text(text):
    words = [match[0] for match in subwords.WORD.finditer(text)]
    assert "".join(words) == text
    # A space goes to the word after it.
    pairs = itertools.pairwise(words)
    assert all(after[0].isspace() for word, after in pairs if word.endswith(" "))


@given(st.lists(TEXT, max_size=4))
def test_texts_are_divided_as_training_divides_them(texts):
    texts = {str(number): text for number, text in enumerate(texts)}
    train, valid = subwords.divided(texts)
    assert "".join([*train.values(), *valid.values()]) == "".join(texts.values())
    assert sum(map(len, train.values())) == int(0.9 * sum(map(len, texts.values())))
    assert all([*train.values(), *valid.values()])
    assert train.keys() | valid.keys() == {path for path, text in texts.items() if text}


def test_pieces_have_characters_of_their_own():
    symbols = [subwords.symbol_of(number) for number in range(subwords.MOST)]
    assert len(set(symbols)) == subwords.MOST
    assert all(subwords.PRIVATE.fullmatch(symbol) for symbol in symbols)


def test_a_decoded_text_is_printed(tmp_path):
    pieces = {"the": 0, " cat\n": 6400}
    (tmp_path / "pieces.json").write_text(json.dumps({"model": {"vocab": pieces}}))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.subwords", "decode", tmp_path],
        input="\ue000\U000f0000é".encode(),
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "the cat\né"


def test_encoding_is_exact_and_pieces_come_from_the_training_part(tmp_path):
    pytest.importorskip("tokenizers")
    text = tmp_path / "cats.txt"
    text.write_text("the cat, the cats\n" * 50 + "zebras zebras ∅\n" * 5, "utf-8")
    out = tmp_path / "out"
    subwords.main("learn", "20", str(out), str(text))
    decode = subwords.saved_decoder(out)
    assert decode(subwords.read(str(out / "cats.txt"))) == text.read_text("utf-8")
    parts = [subwords.read(str(out / part / "cats.txt")) for part in ("train", "valid")]
    assert decode(parts[0]) + decode(parts[1]) == text.read_text("utf-8")
    assert "∅" in parts[1]
    assert len(parts[0]) < len(decode(parts[0])) / 2
    with pytest.raises(SystemExit, match="not empty"):
        subwords.main("learn", "20", str(out), str(text))
    with pytest.raises(SystemExit, match="overwrite"):
        subwords.main("encode", str(out), str(out / "cats.txt"))
