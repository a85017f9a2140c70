"""``charlstm cache``."""

import json
import os

import pytest

from tests.messages import assert_error, assert_names


@pytest.fixture
def filled(charlstm, monkeypatch, tmp_path):
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "a.txt").write_text("some text to prepare\n" * 50)
    assert charlstm("train", "a.txt", "--dry-run", "-q").status == 0
    return tmp_path / "cache"


def test_lists_what_a_run_has_prepared(charlstm, filled):
    result = charlstm("cache", "--json")
    assert result.status == 0
    listed = json.loads(result.out)
    assert listed["folder"] == str(filled)
    assert sorted(entry["name"].split("-")[0] for entry in listed["entries"]) == [
        "tokens",
        "vocabulary",
    ]
    files = [path for path in filled.rglob("*/*") if path.is_file()]
    assert listed["bytes"] == sum(path.stat().st_size for path in files)
    plain = charlstm("cache")
    assert len(plain.out.splitlines()) == 2
    assert_names(plain.err, 2, f"{listed['bytes']:,}", filled)


def test_clear_empties_the_folder(charlstm, filled):
    result = charlstm("cache", "--clear")
    assert (result.status, result.out) == (0, "")
    assert_names(result.err, 2, filled)
    assert os.listdir(filled) == ["CACHEDIR.TAG"]
    assert charlstm("cache", "-q") == (0, "", "")
    empty = charlstm("cache")
    assert (empty.status, empty.out) == (0, "")
    assert_names(empty.err, "0 entries", "0 bytes", filled)


def test_a_wrong_bound_is_misuse(charlstm, monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("some text to prepare\n" * 50)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "lots")
    for command in (["train", "a.txt", "--dry-run", "-q"], ["cache"], ["cache", "--clear"]):
        assert_error(charlstm(*command), 2, "CHARLSTM_CACHE_MB", "'lots'", "megabytes", 4096)


def test_a_cache_folder_that_holds_other_things_is_misuse_and_never_cleared(
    charlstm, monkeypatch, tmp_path
):
    (tmp_path / "a.txt").write_text("some text to prepare\n" * 50)
    (tmp_path / "home" / "pictures").mkdir(parents=True)
    (tmp_path / "home" / "pictures" / "one.png").touch()
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "home"))
    result = charlstm("train", "a.txt", "--dry-run", "-q")
    assert_error(result, 2, tmp_path / "home", "CHARLSTM_CACHE")
    assert_names(charlstm("cache", "--clear").err, "0 entries", "0 bytes", tmp_path / "home")
    assert (tmp_path / "home" / "pictures" / "one.png").exists()
