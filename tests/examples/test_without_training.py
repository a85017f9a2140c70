"""What the examples do without a model: wrong input, made-up data, figures and sentences."""

from __future__ import annotations

import importlib
import io
import json
import re
import sys
from pathlib import Path

import pytest

from tests.processes import in_a_shell

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.sh"))


@pytest.fixture
def example(monkeypatch):
    """Return a function that imports a helper of the examples; the modules are forgotten later."""
    monkeypatch.syspath_prepend(EXAMPLES)
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if (EXAMPLES / f"{name}.py").exists():
            del sys.modules[name]


def write(path: Path, *lines: object) -> Path:
    """Write lines to a file, objects as JSON, and return its path."""
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("".join(text + "\n" for text in texts))
    return path


def last_line(capsys) -> str:
    """Return the last line that was printed, which is a sentence."""
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.search(r"[^.]\.$", last)
    return last


@pytest.mark.parametrize("script", SCRIPTS)
def test_wrong_input_ends_in_a_sentence(tmp_path, script):
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "empty.txt").touch()
    (folder / "bytes.txt").write_bytes(b"caf\xe9\n" * 20)
    (folder / "zeros.txt").write_bytes(b"Ann: hello\0\n" * 20)
    (folder / "wide.txt").write_text("Ann: hello\n" * 20, "utf-16")
    for name in ("nowhere.txt", "empty.txt", "bytes.txt", "zeros.txt", "wide.txt"):
        done = in_a_shell(f"sh '{EXAMPLES}/{script}.sh' '{folder}/{name}'", folder)
        assert done.returncode == 1
        assert re.search(r"^\S.*\.\n$", done.stderr), done.stderr
        assert done.stderr.count("\n") == 1
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("script", ["names", "autocomplete", "keyboard", "chat", "oddlines"])
def test_a_short_file_is_an_error(tmp_path, script):
    write(tmp_path / "short.txt", *["Ann: hello"] * 5)
    done = in_a_shell(f"sh '{EXAMPLES}/{script}.sh' short.txt", tmp_path, TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert re.search(rf"{script}\.sh: give a \w+ of at least [\d,]+ \w+\.", done.stderr)
    assert not [*tmp_path.glob("tmp*")]  # The work files are removed.


@pytest.mark.parametrize("script", SCRIPTS)
def test_an_interrupted_script_keeps_nothing(tmp_path, script):
    work = tmp_path / "work files"
    work.mkdir()
    interrupted = write(
        tmp_path / "charlstm", "#!/bin/sh", 'echo "$CHARLSTM_CACHE" >&2', "kill -INT $PPID"
    )
    interrupted.chmod(0o755)
    line = f"PATH='{tmp_path}':$PATH sh '{EXAMPLES}/{script}.sh'"
    done = in_a_shell(line, tmp_path, TMPDIR=str(work), SENTENCES="20")
    assert done.returncode == 130
    cache, said = done.stderr.splitlines()
    assert cache.startswith(f"{work}/")
    assert said == "Interrupted. The script keeps nothing to resume."
    assert not [*work.iterdir()]


def test_scripts_stay_short():
    assert all(len((EXAMPLES / f"{s}.sh").read_text().split("\n")) <= 61 for s in SCRIPTS)


def test_a_script_in_python_reports_a_missing_text(tmp_path):
    done = in_a_shell(f"python '{EXAMPLES}/from_python.py' nowhere.txt", tmp_path)
    assert done.returncode == 1
    assert "nowhere.txt: no such file" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("spelling.sh python-docs nowhere.txt", "nowhere.txt: No such file or directory."),
        ("authors.sh one", "at least two folders"),
        ("authors.sh one other/../one", "with different names"),
        ("transcripts.sh python-docs lists.tsv", "a line needs a sentence, a tab"),
        ("transcripts.sh python-docs short.tsv", "short.tsv: 1 right sentences are not in"),
        ("forecast.sh years.txt", "at least 8 lines with 12 numbers each"),
        ("spelling.sh years.txt", "years.txt: too few sentences"),
        (
            "forecast.sh months.txt",
            "Line 1: '2026-01' is not a number. Give a year and 12 numbers in",
        ),
        ("sentiment.sh swapped.tsv", "has 100 labels, more than 20. Are the columns swapped?"),
        ("sentiment.sh years.txt", "No line after the header has a tab."),
        ("authors.sh nowhere one", "nowhere: no such folder."),
        ("authors.sh years.txt one", "years.txt: not a folder."),
        ("names.sh words.txt '[a-'", "[a-: not a Python regular expression: "),
        ("autocomplete.sh same.txt", "autocomplete.sh: all lines are the same."),
        ("chat.sh solo.txt", "chat.sh: solo.txt has one speaker. A chat needs two."),
        ("chat.sh talk.txt Tom", "Tom needs 20 messages in the last tenth of the chat, and has 0."),
        ("chat.sh talk.txt Tom", "The speakers there: Ann, Ben."),
    ],
)
def test_other_wrong_input(tmp_path, arguments, message):
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    write(tmp_path / "one" / "text", "word " * 3000)
    write(tmp_path / "lists.tsv", *["A sentence."] * 30)
    write(tmp_path / "short.tsv", "A car.\tA cart.\tA car.")
    write(tmp_path / "years.txt", *["1 2 3 4 5 6 7 8 9 10 11 12"] * 7)
    write(tmp_path / "months.txt", *["2026-01 5 6 7 8 9 10 11 12 1 2 3 4"] * 20)
    write(tmp_path / "swapped.tsv", *[f"text number {n}\tgood" for n in range(101)])
    write(tmp_path / "words.txt", *[f"word{n}" for n in range(1000)])
    write(tmp_path / "same.txt", *["git status"] * 300)
    write(tmp_path / "solo.txt", *["Ann: hello"] * 300)
    write(tmp_path / "talk.txt", *["Ann: hello", "Ben: hi"] * 300)
    script, *others = arguments.split()
    line = " ".join(["sh", f"'{EXAMPLES}/{script}'", *others])
    done = in_a_shell(line, tmp_path)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("changed", "line", "message"),
    [
        (4, "1964 1 2 3 4 5 6 7 8 9 10 11", "Line 5 has 12 numbers. Give a year and 12 numbers"),
        (4, "1964 1 2 3 4 5 6 7 8 9 10 11 12 13", "Line 5 has 14 numbers."),
        (4, "1964 1 2 3 nan 5 6 7 8 9 10 11 12", "Line 5: 'nan' is not a number."),
        (4, "1964,1,2,3,,5,6,7,8,9,10,11,12", "Line 5: '' is not a number."),
        (4, "1965 1 2 3 4 5 6 7 8 9 10 11 12", "Line 5: 1965 follows 1963. Years must rise by one"),
        (0, "1962 1 2 3 4 5 6 7 8 9 10 11 12", "Line 2: 1961 follows 1962."),
        (0, "year 1 2 3 4 5 6 7 8 9 10 11 12", "Line 1: 'year' is not a number."),
    ],
)
def test_a_series_with_a_wrong_line_is_an_error(tmp_path, example, changed, line, message):
    lines = [f"{1960 + n} 1 2 3 4 5 6 7 8 9 10 11 12" for n in range(10)]
    lines[changed] = line
    with pytest.raises(SystemExit, match=re.escape(message)):
        example("forecast").series_of(write(tmp_path / "series", *lines))


def test_a_series_without_years_has_twelve_numbers_in_every_line(tmp_path, example):
    lines = ["1 2 3 4 5 6 7 8 9 10 11 12"] * 9 + ["1 2 3 4 5 6 7 8 9 10 11"]
    with pytest.raises(SystemExit, match="Line 10 has 11 numbers"):
        example("forecast").series_of(write(tmp_path / "series", *lines))


@pytest.mark.parametrize("separator", [" ", ",", "; ", "\t", "  "])
@pytest.mark.parametrize("with_year", [True, False])
def test_series_are_read_with_any_separator(tmp_path, example, separator, with_year):
    rows = [([str(1960 + n)] if with_year else []) + ["1.5", "-2e1", *"345678", ".5", "0", "1", "2"]
            for n in range(10)]  # fmt: skip
    lines = ["Jan, Feb, and so on", "", *map(separator.join, rows)]
    values, _ = example("forecast").series_of(write(tmp_path / "series", *lines))
    assert values == [1.5, -20, 3, 4, 5, 6, 7, 8, 0.5, 0, 1, 2] * 10


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb"] * 9 + ["a\tb\tc"], "Line 10 has 3 columns. Give two, with a tab between them."),
        ([f"a\t{n}" for n in range(30)], "30 pairs have only 1 different left sides."),
        (["a\tb"] * 30, "There are too few lines"),
    ],
)
def test_wrong_pairs_are_an_error(tmp_path, example, lines, message):
    with pytest.raises(SystemExit, match=re.escape(message)):
        example("dates").divide(tmp_path, write(tmp_path / "pairs", *lines))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"good": 99}, "The table has 1 label, 'good'. Give at least 2."),
        ({"good": 99, "bad": 29}, "'bad' has 29 different texts. Each label needs at least 30."),
        ({"good": 99, "bad": 99, "neutral": 1}, "'neutral' has 1 different text. Each label"),
    ],
)
def test_labels_with_too_few_texts_are_an_error(tmp_path, example, texts, message):
    rows = [f"{label}\ttext {n}" for label, count in texts.items() for n in [*range(count)] * 2]
    with pytest.raises(SystemExit, match=re.escape(message)):
        example("sentiment").divide(tmp_path, write(tmp_path / "table", "label\ttext", *rows))


def test_tables_may_be_sorted_and_have_equal_texts(tmp_path, example):
    rows = [f"{label}\t{label[n % 2 :]} {n // 3}" for label in ("bad", "glad") for n in range(300)]
    sentiment = example("sentiment")
    sentiment.divide(tmp_path, write(tmp_path / "table", "label\ttext", *rows))
    right = sentiment.lines_of(tmp_path / "right")
    assert min(map(right.count, ("bad", "glad"))) > 20
    learned = [sentiment.lines_of(tmp_path / f"{label}.txt") for label in ("bad", "glad")]
    assert not {*sentiment.lines_of(tmp_path / "test")} & {*learned[0], *learned[1]}


@pytest.mark.parametrize("number", ["abc", "0"])
def test_sentences_need_a_number(tmp_path, number):
    done = in_a_shell(f"sh '{EXAMPLES}/spelling.sh'", tmp_path, SENTENCES=number)
    assert done.returncode == 1
    assert f"The number of sentences ({number}) must be at least 20." in done.stderr


def test_sentences_of_other_alphabets_and_of_one_line(tmp_path, capsys, example):
    names = [f"Здесь {'а' * n} живёт очень старый человек и его друг." for n in range(1, 200)]
    text = write(tmp_path / "text", " ".join([names[-1], *names]))
    example("sentences").split(str(text), str(tmp_path / "learn"), "20")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 20
    learned = (tmp_path / "learn").read_text()
    assert len(learned) > 0.7 * len(text.read_text())
    assert not [sentence for sentence in printed if sentence in learned]
    assert names[-1] not in printed  # It is also the first sentence, which is learned.


def test_errors_of_shares_and_sums(example):
    common = example("common")
    assert 0 < common.error_of_share(0, 100) < 0.02
    assert common.error_of_share(100, 100) == pytest.approx(common.error_of_share(0, 100))
    assert common.error_of_share(50, 100) == pytest.approx(0.05)
    assert common.error_of_sum([1, 3]) == pytest.approx(2)
    assert common.error_of_sum([1]) > 1e9


def test_made_up_remarks_are_tested_without_those_learned(tmp_path, capsys, example):
    sentiment = example("sentiment")
    sentiment.make()
    table = write(tmp_path / "table", capsys.readouterr().out.rstrip("\n"))
    sentiment.divide(tmp_path, table)
    test = sentiment.lines_of(tmp_path / "test")
    labels = sentiment.lines_of(tmp_path / "labels")
    learned = [set(sentiment.lines_of(tmp_path / f"{label}.txt")) for label in labels]
    assert len(test) > 600
    assert not set(test) & set.union(*learned)


def test_the_label_with_the_most_texts_is_learned_first(tmp_path, example):
    rows = [f"{'bad' if n % 3 else 'awful'}\ttext {n}" for n in range(100)]
    sentiment = example("sentiment")
    sentiment.divide(tmp_path, write(tmp_path / "table", "label\ttext", *rows))
    assert sentiment.lines_of(tmp_path / "labels") == ["bad", "awful"]


@pytest.mark.parametrize(
    ("model", "chain", "said"),
    [
        (50, 10, "more often"),
        (10, 50, "less often"),
        (0, 0, "about as often"),
        (9, 0, "more often"),
    ],
)
def test_names_are_compared(tmp_path, capsys, monkeypatch, example, model, chain, said):
    names = example("names")
    held = {f"held{n}" for n in range(100)}
    invented = [sorted(held)[:hits] + [f"new{n}" for n in range(200)] for hits in (model, chain)]
    monkeypatch.setattr(names, "chain_names", lambda known, count: {*invented[1]})
    write(tmp_path / "held", *held)
    write(tmp_path / "new", *invented[0])
    names.compare(write(tmp_path / "train", "Ann"), tmp_path / "held", tmp_path / "new")
    assert f"real names {said}" in last_line(capsys)


@pytest.mark.parametrize(
    ("saved", "said"), [(9, "conversation saves"), (0, "no difference"), (-9, "conversation costs")]
)
def test_conversations_are_compared_with_shuffled_ones(tmp_path, capsys, example, saved, said):
    chat = example("chat")
    lines = [f"Ann: {'a' * (5 + n % 7)}" for n in range(50)]
    chat.shuffle(write(tmp_path / "chat", *lines))
    shuffled = capsys.readouterr().out.splitlines()
    assert shuffled != lines
    assert sorted(shuffled) == sorted(lines)

    def score(line: str, gain: float) -> dict[str, object]:
        noise = 1 + lines.index(line) % 3 / 10
        return {
            "text": line,
            "per_token": [
                {"text": character, "log_probability": noise * (gain - 20) / 10}
                for character in line
            ],
        }

    chat.compare(
        "Ann",
        write(tmp_path / "context", *(score(line, saved) for line in lines)),
        write(tmp_path / "shuffled", *(score(line, 0) for line in shuffled)),
    )
    assert said in last_line(capsys)


@pytest.mark.parametrize(
    ("export", "messages"),
    [
        (["10:00 pm - Ann: hello", "10:01 p.m. - Ben 2: hi"], ["Ann: hello", "Ben 2: hi"]),
        (["[31/12/23, 10:00:05 pm] Ann: hello"], ["Ann: hello"]),
        (["[31.12.23, 10:00:05] Ann (work) 🦊: hello"], ["Ann (work) 🦊: hello"]),
        (["31/12/23, 10:00 - +49 170 1: a", "note: buy milk"], ["+49 170 1: a note: buy milk"]),
        (["[10:00] 7up: a", "10:01 - 8 ball: b"], ["7up: a", "8 ball: b"]),
        (["10:00 <Ann> at 9:30: yes", "7 eggs: 2 broken"], ["Ann: at 9:30: yes 7 eggs: 2 broken"]),
        (
            ["Ann B.: hi", "Ben: hi", "10:30 lunch: soup"],
            ["Ann B.: hi", "Ben: hi 10:30 lunch: soup"],
        ),
    ],
)
def test_exports_of_chats_are_cleaned(capsys, monkeypatch, example, export, messages):
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(line + "\n" for line in export)))
    example("chat").clean()
    assert capsys.readouterr().out.splitlines() == messages


@pytest.mark.parametrize(
    ("model", "words", "said"),
    [(0.9, 0.1, "more often"), (0.1, 0.9, "less often"), (0.5, 0.5, "about as often")],
)
def test_odd_lines_are_compared(tmp_path, capsys, example, model, words, said):
    # The odd lines are above the given share of the usual ones; one kind has no lines.
    kinds = [*(["words swapped", "another text"] * 5), *[""] * 100]
    mixed = [
        " ".join(["b"] * n + ["a"] * (110 - n)) for n in (*[round(words * 100)] * 10, *range(100))
    ]
    paths = (
        write(tmp_path / "old", "a a"),
        write(tmp_path / "mixed", *mixed),
        write(tmp_path / "kinds", *kinds),
        write(tmp_path / "scores", *[str(model * 100)] * 10, *map(str, range(100))),
    )
    example("oddlines").compare(*paths)
    output = capsys.readouterr().out
    assert re.search(
        rf"^model +{model:.1f}\d\d +{model:.1f}\d\d +- +{model:.1f}\d\d$", output, re.M
    )
    assert f"{said}" in output.splitlines()[-1]


@pytest.mark.parametrize(
    ("first", "chosen", "best", "said"),
    [
        ("a c", "a b", "a b", "removes 100% of those"),
        ("a b", "a c", "a b", "The lists allow no improvement"),
        ("a c", "a c", "a b", "about as many errors"),
        ("a c", "d c", "a b", "more errors than the first candidates, by 50.0% of the words"),
    ],
)
def test_transcripts_are_compared(tmp_path, capsys, example, first, chosen, best, said):
    write(tmp_path / "lists", *["\t".join(["a b", first, best, chosen])] * 30)
    write(tmp_path / "ranked", *[{"alternatives": [{"text": chosen}]}] * 30)
    example("transcripts").report(tmp_path)
    assert said in last_line(capsys)


@pytest.mark.parametrize("saved", [0.6, 0.4, 0.5])
def test_keystrokes_are_compared(tmp_path, capsys, example, saved):
    text = write(tmp_path / "text", "word word other")  # One tap writes each word and its space.
    of_words = 1 - 3 / (5 + 5 + 6)
    share = of_words + saved - 0.5
    figures = {"keystrokes_saved": share, "keystrokes_saved_standard_error": 0.01, "sample": 3}
    example("keyboard").compare(text, text, write(tmp_path / "figures", figures))
    points = "10.0 percentage points"
    said = {0.6: f"{points} more", 0.4: f"{points} fewer", 0.5: "about as many"}[saved]
    assert said in last_line(capsys)


@pytest.mark.parametrize(
    ("errors", "naive", "said"),
    [
        (
            [1] * 24,
            [0] * 24,
            "larger than that of the simplest forecast (1 against 0), and smaller",
        ),
        ([0] * 24, [1] * 24, "smaller than that of the simplest forecast (0 against 1)"),
        ([1] * 24, [0] * 12 + [3] * 12, "about as large as that of the simplest forecast"),
    ],
)
def test_forecasts_are_compared(capsys, example, errors, naive, said):
    example("forecast").report(errors, naive, [False] * 24)
    assert f"The error is {said}" in last_line(capsys)


def test_suggestions_are_compared(tmp_path, capsys, example):
    old, new = write(tmp_path / "old", "make", "make", "ls"), write(tmp_path / "new", "ls", "man")
    typed = write(tmp_path / "typed", "l", "m")
    suggested = write(tmp_path / "suggested", {"prompt": "m", "text": "an"})
    example("autocomplete").compare(old, new, typed, suggested)
    assert last_line(capsys) == (
        "The model finds 50% of the lines, the frequent lines 50%. "
        "Of those that are new, the model finds 1 of 1, and the frequent lines none."
    )


def test_authors_may_be_folders_of_any_spelling(tmp_path, monkeypatch, example):
    (tmp_path / "Ann Lee").mkdir()
    (tmp_path / "Bob").mkdir()
    for folder, count in (("Ann Lee", 30000), ("Bob", 15000)):
        write(tmp_path / folder / "text", "word " * count)
    monkeypatch.chdir(tmp_path / "Bob")
    example("authors").divide(tmp_path, [Path("../Ann Lee/"), Path()])
    assert (tmp_path / "names").read_text() == "Ann Lee\nBob\n"
    assert len((tmp_path / "Bob.txt").read_text()) == len((tmp_path / "Ann Lee.txt").read_text())


def test_the_most_frequent_author_is_the_guess(tmp_path, capsys, example):
    for name in ("Ann", "Bob"):
        write(tmp_path / f"{name}.txt", f"{name} " * 300)
        write(tmp_path / f"scores-{name}", *[{"bits_per_character": len(name)}] * 4)
    write(tmp_path / "names", "Ann", "Bob")
    write(tmp_path / "pages", *["Ann " * 20] * 3, "Bob " * 20)
    write(tmp_path / "right", "Ann", "Ann", "Ann", "Bob")
    example("authors").report(tmp_path)
    assert last_line(capsys) == (
        "Of 4 pages, charlstm names the author of 75%, zip distance of 100%, "
        "and always naming the author with the most pages of 75%."
    )


def test_long_answers_have_room(tmp_path, capsys, example):
    pairs = write(tmp_path / "pairs", *[f"{n}\t{'x' * (n % 300)}" for n in range(1, 600)])
    example("dates").divide(tmp_path, pairs)
    assert capsys.readouterr().out == "300\n"


def test_a_group_without_lines_has_no_share(example):
    assert example("autocomplete").row("never seen", []).split() == [
        "never",
        "seen",
        "-",
        "of",
        "0",
    ]
