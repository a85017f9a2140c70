"""The examples that correct, choose and label texts run with a shortened training."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from tests.processes import in_a_shell

EXAMPLES = Path(__file__).parents[2] / "examples"
SHARE = r"\s+(\d+\.\d)% ± \d+\.\d"


def run(script: str, *arguments: str, folder: Path, **variables: str) -> str:
    """Run a script in another folder with almost no training, and return its output."""
    line = " ".join(["sh", f"'{EXAMPLES}/{script}'", *arguments])
    work = folder / "work files"
    work.mkdir()
    done = in_a_shell(line, folder, timeout=280, MINUTES="0.02", TMPDIR=str(work), **variables)
    assert done.returncode == 0, done.stderr[-2000:]
    assert not [*work.iterdir()]  # The work files are removed.
    return done.stdout


def shares(output: str, *names: str) -> list[float]:
    """Return the percentage that starts the line of each method."""
    found = [re.search(f"^{name}{SHARE}", output, re.MULTILINE) for name in names]
    assert all(found), output
    return [float(match[1]) for match in found if match]


def prose(seed: int, verbs: str = "knew saw heard took") -> str:
    """Return a text of simple sentences, some of which have a word that may be confused."""
    rng = random.Random(seed)
    lines = [
        f"The {rng.choice(['old', 'young', 'tall'])} man {rng.choice(verbs.split())} that "
        f"{rng.choice(['their', 'the', 'his'])} {rng.choice(['house', 'horse', 'garden'])} was "
        f"{rng.choice(['there', 'here', 'quite near'])}, and then he {rng.choice(verbs.split())} "
        f"{rng.choice(['a friend', 'the road', 'the door', 'a letter'])} of the "
        f"{rng.choice(['village', 'town', 'church'])}."
        for _ in range(600)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.slow
def test_spelling_is_corrected_better_than_by_word_frequencies(tmp_path):
    output = run("spelling.sh", folder=tmp_path)
    model, baseline = shares(output, "charlstm", "word frequencies")
    assert model > baseline
    assert re.search(r"Charlstm corrected \d+% .* broke \d+ .*\.$", output.splitlines()[-1])


@pytest.mark.slow
def test_spelling_takes_texts_of_ones_own(tmp_path):
    (tmp_path / "my text.txt").write_text(prose(1))
    (tmp_path / "more.txt").write_text(prose(2))
    output = run("spelling.sh", "'my text.txt'", "more.txt", folder=tmp_path, SENTENCES="30")
    assert shares(output, "charlstm", "word frequencies")[0] > 0


@pytest.mark.slow
def test_transcripts_takes_lists_of_ones_own(tmp_path):
    (tmp_path / "my.txt").write_text(prose(1))
    (tmp_path / "lists.tsv").write_text(
        "The man saw their house.\tThe man sore there house.\tThe man saw their house.\n"
        "He heard the door.\tHe herd the door.\tHe heard the door.\tHe hurt a door.\n" * 10
    )
    output = run("transcripts.sh", "my.txt", "lists.tsv", folder=tmp_path)
    assert shares(output, "first", "best") == [33.3, 0.0]


@pytest.mark.slow
def test_remarks_are_labeled(tmp_path):
    output = run("sentiment.sh", folder=tmp_path)
    _, bayes, majority = shares(output, "charlstm", "naive Bayes", "majority class")
    assert bayes > majority
    assert re.search(r"^Of [67]\d\d texts, .*\.$", output.splitlines()[-1])


@pytest.mark.slow
def test_authors_takes_folders_of_ones_own(tmp_path):
    for name, verbs in (("Ann Lee", "knew saw"), ("Bob", "heard took")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "book.txt").write_text(prose(1, verbs))
    output = run("authors.sh", "'Ann Lee'", "Bob/", folder=tmp_path)
    assert shares(output, "charlstm", "zlib")[1] > 50
    assert re.search(r"with the most pages of 5\d%\.$", output.splitlines()[-1])


@pytest.mark.slow
def test_dates_are_rewritten(tmp_path):
    output = run("dates.sh", folder=tmp_path)
    assert shares(output, "with attention", "without", "nearest pair")[2] < 5
    assert re.search(r"^Of 4\d\d unseen texts, .*\.$", output.splitlines()[-1])
