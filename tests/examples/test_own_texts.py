"""The examples on names, lines, keyboards, chats, logs and series run with a shortened training."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from tests.processes import in_a_shell

EXAMPLES = Path(__file__).parents[2] / "examples"
FIGURE = r"\s+(-?\d+(?:\.\d+)?)"


def run(script: str, *arguments: str, folder: Path, stdin: str = "/dev/null") -> str:
    """Run a script in another folder with almost no training, and return its output."""
    line = " ".join(["sh", f"'{EXAMPLES}/{script}'", *arguments, "<", stdin])
    work = folder / "work files"
    work.mkdir()
    done = in_a_shell(line, folder, timeout=280, MINUTES="0.02", TMPDIR=str(work))
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [*work.iterdir()]  # The work files are removed.
    return done.stdout


def figures(output: str, *names: str) -> list[float]:
    """Return the number that follows each name at the start of a line."""
    found = [re.search(f"^{name}{FIGURE}", output, re.MULTILINE) for name in names]
    assert all(found), output
    return [float(match[1]) for match in found if match]


def sentence(output: str) -> str:
    """Return the last line, which is a sentence about the result."""
    last = output.splitlines()[-1]
    assert last.endswith(".")
    return last


@pytest.mark.slow
def test_words_are_invented(tmp_path):
    output = run("names.sh", folder=tmp_path)
    invented = output.split("\n\n")[0].splitlines()[1:]
    assert len(invented) == 10
    assert all(re.fullmatch(".{5,9}", word) for word in invented)
    model, chain = figures(output, "model", "Markov chain")
    assert model < chain  # It has hardly been trained.
    assert sentence(output).startswith("The model invents real names less often")


@pytest.mark.slow
def test_a_made_up_history_is_completed(tmp_path):
    output = run("autocomplete.sh", folder=tmp_path)
    (frequent,) = figures(output, "frequent lines")
    assert 20 < frequent < 80
    assert sentence(output).startswith("The model finds")


@pytest.mark.slow
def test_keystrokes_are_saved(tmp_path):
    output = run("keyboard.sh", folder=tmp_path)
    _, frequent = figures(output, "model", "word frequencies")
    assert 35 < frequent < 60
    assert sentence(output)


@pytest.mark.slow
def test_a_made_up_chat_is_answered(tmp_path):
    (tmp_path / "lines").write_text("is it windy?\nbye\n")
    output = run("chat.sh", folder=tmp_path, stdin="lines")
    context, shuffled = figures(output, "after the conversation", "in shuffled order")
    assert math.isclose(context, shuffled, rel_tol=0.1)  # It has hardly been trained.
    said = output.partition("You are Ann, and Ben answers. Ctrl-D ends the chat.\n")[2]
    assert len(re.findall("^Ben:", said, re.MULTILINE)) == 2
    assert sentence(output).startswith("The conversation")


@pytest.mark.slow
def test_a_chat_of_ones_own_has_another_speaker(tmp_path):
    talk = "".join(
        f"[{1 + n % 28:02}/03/26, 10:{n % 60:02}:00] Eve: lunch at {n % 12}?\n"
        f"[{1 + n % 28:02}/03/26, 10:{n % 60:02}:30] Tom B.: yes: at {n % 12}\nsee you\n"
        for n in range(200)
    )
    (tmp_path / "export.txt").write_text(talk)
    output = run("chat.sh", "export.txt", "'Tom B.'", folder=tmp_path)
    assert "of 20 held-out messages by Tom B.:" in output
    assert "You are Eve, and Tom B. answers." in output
    done = in_a_shell(f"sh '{EXAMPLES}/chat.sh' export.txt Tom", tmp_path)
    assert done.returncode == 1
    assert "Tom needs 20 messages in the last tenth of the chat, and has 0." in done.stderr


@pytest.mark.slow
def test_odd_lines_are_found(tmp_path):
    output = run("oddlines.sh", folder=tmp_path)
    model, words = figures(output, "model", "words never seen")
    assert 0.4 < model < 1
    assert 0.6 < words < 0.9
    assert sentence(output).startswith("The model puts an odd line above a usual one")


@pytest.mark.slow
def test_a_series_of_ones_own_is_forecast(tmp_path):
    years = [[2000 + year, *(year + month / 2 for month in range(12))] for year in range(12)]
    (tmp_path / "series.csv").write_text("".join(",".join(map(str, y)) + "\n" for y in years))
    output = run("forecast.sh", "series.csv", folder=tmp_path)
    assert figures(output, "same month of the year before") == [1.0]
    assert "Mean absolute error of 36 months" in output
