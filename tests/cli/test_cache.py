"""``charlstm cache``."""

import json
import os

import pytest


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
        "symbols",
        "tokens",
    ]
    files = [path for path in filled.rglob("*/*") if path.is_file()]
    assert listed["bytes"] == sum(path.stat().st_size for path in files)
    plain = charlstm("cache")
    assert len(plain.out.splitlines()) == 2
    assert plain.err == f"2 entries, {listed['bytes']:,} bytes in {filled}\n"


def test_clear_empties_the_folder(charlstm, filled):
    result = charlstm("cache", "--clear")
    assert (result.status, result.out) == (0, "")
    assert result.err.startswith("Removed 2 entries, ")
    assert os.listdir(filled) == ["CACHEDIR.TAG"]
    assert charlstm("cache") == (0, "", f"0 entries, 0 bytes in {filled}\n")


def test_a_wrong_bound_is_misuse(charlstm, monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("some text to prepare\n" * 50)
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "other"))
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "lots")
    result = charlstm("train", "a.txt", "--dry-run", "-q")
    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "Error: CHARLSTM_CACHE_MB is 'lots': expected a whole number of megabytes, such as 4096\n"
    )


def test_a_cache_folder_that_holds_other_things_is_misuse_and_never_cleared(
    charlstm, monkeypatch, tmp_path
):
    (tmp_path / "a.txt").write_text("some text to prepare\n" * 50)
    (tmp_path / "home" / "pictures").mkdir(parents=True)
    (tmp_path / "home" / "pictures" / "one.png").touch()
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "home"))
    assert charlstm("train", "a.txt", "--dry-run", "-q") == (
        2,
        "",
        f"Error: the cache folder {tmp_path / 'home'} holds other things: let CHARLSTM_CACHE name "
        "a new or an empty folder\n",
    )
    assert charlstm("cache", "--clear").err.startswith("Removed 0 entries, 0 bytes in ")
    assert (tmp_path / "home" / "pictures" / "one.png").exists()
