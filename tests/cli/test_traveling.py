"""Checkpoints that were copied, archived, renamed or write-protected work anywhere."""

import json
import os
import shutil
from pathlib import Path

import pytest

from charlstm.checkpoint.schema import RESUME
from tests.cli.helpers import TEXT
from tests.messages import assert_error
from tests.processes import in_a_shell

DATA = Path(__file__).parents[1] / "data" / "format-9"


def copied(source, target):
    shutil.copytree(source, target)


def renamed(source, target):
    shutil.copytree(source, target.parent / "before")
    (target.parent / "before").rename(target)


def archived(source, target, kind):
    """Pack the folder with the usual tool, and unpack it elsewhere."""
    packed = shutil.make_archive(str(target.parent / "packed"), kind, source.parent, source.name)
    shutil.unpack_archive(packed, target.parent / "unpacked")
    (target.parent / "unpacked" / source.name).rename(target)


def write_protected(source, target):
    shutil.copytree(source, target)
    for path in (*target.iterdir(), target):
        path.chmod(0o555 if path.is_dir() else 0o444)


WAYS = {
    "copied": copied,
    "renamed": renamed,
    "tar": lambda source, target: archived(source, target, "gztar"),
    "zip": lambda source, target: archived(source, target, "zip"),
    "write-protected": write_protected,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", ["prose", "names", "words", "pieces"])
def test_a_finished_checkpoint_works_anywhere(charlstm, request, tmp_path, monkeypatch, way, level):
    home, away = tmp_path / "home", tmp_path / "somewhere else"
    shutil.copytree(request.getfixturevalue(level), home / "model")
    away.mkdir()
    (away / "text").write_text("the lazy dog\n" * 9)
    commands = [
        ["generate", "MODEL", "--seed", 3, "--length", 40, "-q"],
        ["score", "MODEL", "text", "-q"],
        ["evaluate", "MODEL", "text", "--sample", 0, "--json", "-q"],
        ["predict", "MODEL", "-p", "the l", "-q"],
    ]
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(away)

    def run(model):
        given = [[model if part == "MODEL" else part for part in command] for command in commands]
        return [charlstm(*command) for command in given]

    before = run(home / "model")
    WAYS[way](home / "model", away / "from a friend")
    shutil.rmtree(home)
    shutil.rmtree(tmp_path / "cache")
    traveled = away / "from a friend"
    files = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in traveled.iterdir()}
    after = run("from a friend")
    assert after == before
    assert all(result.status == 0 for result in after)
    shown = json.loads(charlstm("info", "from a friend", "--json").out)
    assert (shown["finished"], shown["checkpoint"]) == (True, "from a friend")
    assert charlstm("export", "from a friend", "-o", "model.onnx").status == 0
    assert charlstm("look", "from a friend", "-o", "model.html").status == 0
    assert files == {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in traveled.iterdir()
    }


def test_a_copy_of_a_piped_run_resumes_with_its_text(charlstm, tmp_path, compiled_once):
    shutil.copytree(DATA / "unfinished", tmp_path / "copy")
    assert charlstm("train", "--resume", "copy", "-q").status == 0
    assert not (tmp_path / "copy" / RESUME).exists()
    assert charlstm("generate", "copy", "--length", 9).status == 0


def interrupted(folder, command):
    """Train in a shell until the first evaluation, then stop the run as Ctrl-C does."""
    done = in_a_shell(
        f"{command} 2> log & pid=$!; until grep -q '^step' log; do sleep 0.1; done; "
        "kill -INT $pid; wait $pid",
        folder,
    )
    assert done.returncode == 130, (folder / "log").read_text()


def test_a_copy_of_an_unfinished_run_resumes_if_its_text_is_there(charlstm, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "my.txt").write_text(TEXT)
    interrupted(
        home,
        "set -m; charlstm train my.txt -o model --units 16 --layers 1 --embedding 8 --streams 4 "
        "--steps 100000 --eval-every 20 --sample-every 0 --patience 100000",
    )
    shutil.copytree(home / "model", tmp_path / "copy")
    shutil.rmtree(home / "model")
    assert charlstm("train", "--resume", "copy", "--dry-run").status == 0
    (home / "my.txt").rename(home / "other.txt")
    result = charlstm("train", "--resume", "copy")
    assert_error(result, 1, "copy", f"is not at {home / 'my.txt'}", "--from copy")
    assert charlstm("generate", "copy", "--length", 9).status == 0
    (home / "my.txt").write_text("another text")
    assert_error(charlstm("train", "--resume", "copy"), 1, home / "my.txt", "has changed")


def test_an_archive_is_not_a_checkpoint(charlstm, prose, tmp_path):
    shutil.make_archive(str(tmp_path / "model"), "gztar", prose.parent, prose.name)
    assert_error(charlstm("info", "model.tar.gz"), 1, "model.tar.gz", "an archive", "Unpack it")
    assert os.listdir(tmp_path) == ["model.tar.gz"]
