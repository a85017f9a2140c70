"""Tests of ``dataset.prepare`` with its cache: nothing is built twice, nothing outdated is used."""

from __future__ import annotations

import hashlib
import os
import shutil

import numpy as np
import pytest

from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.corpus.documents import Corpus
from charlstm.dataset import prepare as prepare_module
from charlstm.dataset.prepare import prepare
from charlstm.errors import CorpusError
from charlstm.system import cache
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.dataset.helpers import (
    PROSE,
    cut,
    levels,
    prepared,
    same,
    sides,
    written,
)
from tests.texts import LINES

# The cache


def refuse(*args):
    raise AssertionError("built again")


def refuse_building(monkeypatch):
    monkeypatch.setattr(prepare_module, "write_store", refuse)
    monkeypatch.setattr(prepare_module, "build_tokenizer", refuse)


@levels
@pytest.mark.parametrize("lines", [True, False])
def test_nothing_is_built_twice(folder, monkeypatch, level, lines):
    addresses = written(folder, PROSE, "and more\n" * 20)
    first = prepared(addresses, level, lines=lines)
    refuse_building(monkeypatch)
    second = prepared(addresses, level, lines=lines)
    assert same(first, second)
    assert (first.name, first.sources) == (second.name, second.sources)


def test_a_file_that_has_moved_is_the_same_text(folder, monkeypatch):
    (address,) = written(folder, PROSE)
    (valid,) = written(folder, PROSE[:200], prefix="valid")
    first = prepared((address,), valid=(valid,))
    for path in (address, valid):
        shutil.move(path, path.replace(".txt", ".moved"))
    refuse_building(monkeypatch)
    moved = address.replace(".txt", ".moved")
    second = prepared((moved,), valid=(valid.replace(".txt", ".moved"),))
    assert same(first, second)
    assert second.sources == (moved,)


def test_a_compressed_file_is_the_same_text(folder, monkeypatch):
    import gzip

    first = prepared(written(folder, PROSE))
    (folder / "text.txt.gz").write_bytes(gzip.compress(PROSE.encode()))
    refuse_building(monkeypatch)
    assert same(first, prepared((str(folder / "text.txt.gz"),)))


@pytest.mark.parametrize(
    "change",
    [
        {"level": "word"},
        {"tokenizing": TokenizerConfig(level="word", vocab_size=5)},
        {"tokenizing": TokenizerConfig(level="word", min_count=9)},
        {"valid_fraction": 0.2},
        {"lines": True},
        {"lines": True, "seed": 2},
        {"lines": True, "valid_fraction": 0.3},
        {"fixed": build_tokenizer(["The cat"], TokenizerConfig())},
        {"base": build_tokenizer(["zebra"], TokenizerConfig())},
    ],
)
def test_other_settings_give_another_store(folder, change):
    """Each result is the same as with an empty cache."""
    addresses = written(folder, PROSE)
    first = prepared(addresses)
    after = prepared(addresses, **change)
    assert not same(first, after)
    assert same(first, prepared(addresses))
    shutil.rmtree(folder.parent / "cache")
    assert same(after, prepared(addresses, **change))


def test_lines_and_seeds_do_not_share_a_store(folder):
    addresses = written(folder, "\n".join(map(str, range(1000))))
    stores = [prepared(addresses, lines=True, seed=seed) for seed in (1, 2, 3)]
    assert not same(stores[0], stores[1])
    assert not same(stores[1], stores[2])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"seed": 1}, {"seed": 2}),
        ({"seed": 1, "lines": True, "valid": True}, {"seed": 2, "lines": True, "valid": True}),
        ({"valid_fraction": 0.1, "valid": True}, {"valid_fraction": 0.5, "valid": True}),
    ],
)
def test_settings_that_do_not_change_the_division_share_a_store(folder, monkeypatch, one, other):
    addresses = written(folder, PROSE)
    valid = {"valid": written(folder, PROSE[:200], prefix="valid")}
    first = prepared(addresses, **one | (valid if "valid" in one else {}))
    refuse_building(monkeypatch)
    assert same(first, prepared(addresses, **other | (valid if "valid" in other else {})))


@pytest.mark.parametrize(
    "texts", [("cat", "mat mat"), ("cat mat", " mat"), ("mat mat", "cat"), ("catmat mat",)]
)
def test_other_texts_give_another_store(folder, texts):
    first = prepared(written(folder, "cat", "mat mat", prefix="first"), valid_fraction=0.3)
    second = prepared(written(folder, *texts), valid_fraction=0.3)
    assert same(first, second) == (texts == ("cat", "mat mat"))


def test_validation_and_training_text_are_not_confused(folder):
    (one,) = written(folder, PROSE, prefix="one")
    (two,) = written(folder, PROSE[::-1], prefix="two")
    first, second = prepared((one,), valid=(two,)), prepared((two,), valid=(one,))
    assert np.array_equal(first.store.train, second.store.valid)
    assert not same(first, second)
    assert not same(first, prepared((one, two)))


def test_another_validation_text_gives_another_store(folder):
    addresses = written(folder, PROSE)
    valid = written(folder, "the cat", "the hat", prefix="valid")
    stores = [prepared(addresses, valid=(address,)) for address in valid]
    assert [sides(result)[1] for result in stores] == [["the cat"], ["the hat"]]


def test_an_edited_file_is_another_text(folder):
    addresses = written(folder, PROSE)
    first = prepared(addresses)
    written(folder, PROSE.replace("cat", "dog"))
    second = prepared(addresses)
    assert "dog" in second.tokenizer.decode(second.store.train)
    assert first.statistics.sha256 != second.statistics.sha256
    assert same(first, prepared(written(folder, PROSE)))


@levels
def test_a_full_cache_still_works(folder, monkeypatch, level):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")
    train, valid = cut(PROSE, whole_words=level != "char")
    assert sides(prepared(written(folder, PROSE), level)) == ([train], [valid])


# Changing texts


def test_a_changed_text_is_refused_before_anything_is_built(folder, sentence):
    addresses = written(folder, PROSE)
    sha256 = prepared(addresses).statistics.sha256
    assert same(prepared(addresses), prepared(addresses, sha256=sha256))
    shutil.rmtree(folder.parent / "cache")
    (valid,) = written(folder, "the cat", prefix="valid")
    written(folder, PROSE + "!")
    for extra, named in (({}, addresses), ({"valid": (valid,)}, (*addresses, valid))):
        with pytest.raises(CorpusError) as caught:
            prepared(addresses, sha256=sha256, **extra)
        sentence(caught.value, *named, "changed", "`from_checkpoint`")
    assert not (folder.parent / "cache").exists()


def growing(monkeypatch, path, more):
    """Make a file grow after its length and hash are computed."""
    real = Corpus.fingerprint

    def then_grow(corpus, *watching):
        found = real(corpus, *watching)
        with open(path, "a") as file:
            file.write(more)
        return found

    monkeypatch.setattr(Corpus, "fingerprint", then_grow)


@levels
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("grows", ["corpus", "valid", "the only"])
def test_a_text_that_grows_while_it_is_read_is_refused(
    folder, monkeypatch, level, lines, grows, sentence
):
    """Its statistics and its cache entry would be wrong."""
    addresses = written(folder, PROSE)
    options = {"lines": lines}
    if grows != "the only":
        options["valid"] = written(folder, PROSE[:200], prefix="valid")
    path = options["valid"][0] if grows == "valid" else addresses[0]
    with monkeypatch.context() as patch:
        growing(patch, path, "one more line\n")
        with pytest.raises(CorpusError) as caught:
            prepared(addresses, level, **options)
    sentence(caught.value, "changed", "read")
    assert not any(path.name.startswith("tokens-") for path in cache.cache_folder().iterdir())


@levels
def test_a_growing_text_leaves_no_wrong_cache_entry(folder, monkeypatch, level):
    """After it is restored, it is prepared as usual."""
    addresses = written(folder, PROSE)
    expected = prepared(addresses, level, lines=True)
    cache.clear()
    with monkeypatch.context() as patch:
        growing(patch, addresses[0], "zebra zebra xylophone\n" * 30)
        with pytest.raises(CorpusError):
            prepared(addresses, level, lines=True)
    written(folder, PROSE)
    restored = prepared(addresses, level, lines=True)
    assert restored.tokenizer.vocabulary == expected.tokenizer.vocabulary
    assert same(restored, expected)


# Versions


@levels
def test_another_unicode_version_has_other_entries(folder, monkeypatch, level):
    """It decides which characters are letters, and so which tokens a text has."""
    addresses = written(folder, PROSE)
    prepared(addresses, level)
    before = {entry.path.name for entry in cache.entries()}
    monkeypatch.setattr("unicodedata.unidata_version", "1.1.5")
    prepared(addresses, level)
    after = {entry.path.name for entry in cache.entries()}
    assert len(before) == 2
    assert len(after - before) == 2


def test_a_changed_store_needs_another_version(folder):
    """The caches of users contain stores of this version, so the version must not mean others.

    If this fails because stores are written in another way, increase STORE_VERSION, and put the
    new version and digest here.
    """
    digest = hashlib.sha256()
    for level in ("char", "word"):
        for lines in (False, True):
            prepared(written(folder, "One fine day,\nthe 12 don't.\n" * 9), level, lines=lines)
            for kept in sorted(cache.entries(), key=lambda kept: kept.path.name.split("-")[0]):
                digest.update((kept.path / cache.DIGESTS).read_bytes())
            cache.clear()
    assert (prepare_module.STORE_VERSION, digest.hexdigest()) == (
        9,
        "ff6efdb680e5dd06f9916459dd5676b76ed852e4efe6e1ee682c1425c9e947f8",
    )


# Damage


def entry(kind):
    (path,) = (e.path for e in cache.entries() if e.path.name.startswith(kind))
    return path


def cut_off(name, size):
    return lambda folder: os.truncate(folder / name, size)


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "lines.bin").unlink(),
        cut_off("lines.bin", 0),
        cut_off("lines.bin", 1),
        cut_off("lines.bin", 8),
        lambda folder: (folder / "lines.bin").write_bytes(bytes(17)),
    ],
)
def test_damaged_lines_are_built_again(folder, damage):
    addresses = written(folder, "one\ntwo\nthree\nfour\n")
    first = prepared(addresses, lines=True)
    assert first.statistics.distinct == 4
    damage(entry("tokens"))
    assert same(first, prepared(addresses, lines=True))


@levels
@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        ("tokens", lambda folder: (folder / "statistics.json").unlink()),
        ("tokens", lambda folder: (folder / "train.bin").unlink()),
        ("tokens", lambda folder: (folder / "valid.bin").unlink()),
        ("tokens", cut_off("statistics.json", 20)),
        ("tokens", cut_off("statistics.json", 0)),
        ("tokens", cut_off("train.bin", 100)),
        ("tokens", cut_off("train.bin", 0)),
        ("tokens", cut_off("valid.bin", 100)),
        ("vocabulary", lambda folder: (folder / "tokenizer.json").unlink()),
        ("vocabulary", cut_off("tokenizer.json", 20)),
        ("vocabulary", cut_off("tokenizer.json", 0)),
        ("tokens", lambda folder: (folder / "SHA256SUMS").unlink()),
        ("vocabulary", cut_off("SHA256SUMS", 10)),
    ],
)
def test_a_damaged_entry_is_built_again(folder, monkeypatch, level, kind, damage):
    addresses = written(folder, PROSE)
    prepared(addresses, level)
    shutil.copytree(cache.cache_folder(), folder.parent / "sound")
    damage(entry(kind))
    assert same(prepared(addresses, level), prepared(addresses, level))
    for sound in (folder.parent / "sound").rglob("*.*"):
        again = cache.cache_folder() / sound.relative_to(folder.parent / "sound")
        assert again.read_bytes() == sound.read_bytes()
    refuse_building(monkeypatch)
    prepared(addresses, level)


@pytest.mark.parametrize("name", ["train.bin", "valid.bin", "statistics.json", "lines.bin"])
def test_an_entry_with_a_changed_byte_is_built_again(tmp_path, monkeypatch, name):
    """A bad id would raise an IndexError in training, and another wrong id would go unnoticed."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{n} lines\n" for n in range(200)))
    config = CorpusConfig(addresses=(str(path),), division=LINES)
    before = prepare(config, TokenizerConfig())
    train, valid = np.array(before.store.train), np.array(before.store.valid)
    (entry,) = (tmp_path / "cache").glob("tokens-*")
    data = bytearray((entry / name).read_bytes())
    data[len(data) // 2] ^= 0x80
    (entry / name).unlink()
    (entry / name).write_bytes(data)
    after = prepare(config, TokenizerConfig())
    assert (after.store.train == train).all()
    assert (after.store.valid == valid).all()
    assert after.statistics == before.statistics
    assert (after.lines.hashes == before.lines.hashes).all()
