"""Tests of ``dataset.prepare``: what trains is the training text; nothing is done twice."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import CorpusConfig, TokenizerConfig
from charlstm.corpus import reading
from charlstm.corpus.documents import Corpus
from charlstm.corpus.line_hashes import hash_line
from charlstm.dataset import prepare as prepare_module
from charlstm.dataset.prepare import prepare
from charlstm.errors import ConfigError, CorpusError
from charlstm.system import cache
from charlstm.tokenizer.base import END_OF_DOCUMENT, UNKNOWN
from charlstm.tokenizer.vocabulary import build_tokenizer
from tests.messages import raises_naming

PROSE = "The cat sat on the mat. The hat, the cat;\r\nthe rat's bat -- éclair 12 12\n" * 40
levels = pytest.mark.parametrize("level", ["char", "word"])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder for texts, and a cache that is empty."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    texts = tmp_path / "texts"
    texts.mkdir()
    return texts


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """The same, for tests that run many times over; see ``prepared_anew``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tmp_path_factory.mktemp("texts")


def written(folder, *texts, prefix="text"):
    """Write texts as files; return their addresses."""
    paths = [folder / f"{prefix}{number}.txt" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    return tuple(map(str, paths))


def prepared(addresses, level="char", tokenizing=None, **options):
    names = ("base", "fixed", "stdin", "sha256")
    extra = {name: options.pop(name) for name in names if name in options}
    config = CorpusConfig(addresses=addresses, **options)
    return prepare(config, tokenizing or TokenizerConfig(level=level), **extra)


def documents(ids, tokenizer):
    """Return the documents of one side of a store as text."""
    starts = np.flatnonzero(np.asarray(ids) == END_OF_DOCUMENT)
    assert not ids.size or starts[0] == 0
    return [tokenizer.decode(part[1:]) for part in np.split(np.asarray(ids), starts)[1:]]


def sides(result):
    """Return the documents of the training and of the validation side."""
    store, both = result.store, []
    for ids in (store.train, store.valid):
        found = documents(ids, result.tokenizer)
        # The mark after the last document; there is none if no document ends in training.
        if store.train.size and ids.size and ids[-1] == END_OF_DOCUMENT:
            assert found.pop() == ""
        both.append(found)
    return tuple(both)


def cut(text, fraction=0.1, whole_words=False):
    """Divide a text as preparation should, by hand."""
    place = int((1 - fraction) * len(text))
    while whole_words and place < len(text) and not text[place].isspace():
        place += 1
    return text[:place], text[place:]


# What is stored


@levels
def test_one_file_is_divided_at_its_end(folder, level):
    result = prepared(written(folder, PROSE), level)
    train, valid = cut(PROSE, whole_words=level == "word")
    assert sides(result) == ([train], [valid])
    assert not set(result.store.train.tolist()) & {UNKNOWN}
    assert result.name == "text0"
    assert result.sources == written(folder, PROSE)


texts = st.lists(st.text(st.sampled_from("ab \n\ré"), max_size=40), min_size=1, max_size=4).filter(
    any
)
lines_of_text = st.lists(st.text(st.sampled_from("ab é"), max_size=9), max_size=30).filter(any)
either_level = st.sampled_from(["char", "word"])


def prepared_anew(folder, texts, level, block=None, **options):
    """Prepare without cache and with every character known, so that sides are the text."""
    cache.clear()
    fixed = build_tokenizer(["ab \n\ré"], TokenizerConfig(level=level))
    with pytest.MonkeyPatch.context() as patch:
        if block is not None:
            patch.setattr(reading, "BLOCK", block)
        return prepared(written(folder, *texts), level, fixed=fixed, **options)


@given(texts, either_level, st.floats(0.05, 0.95), st.integers(1, 30))
def test_nothing_is_lost_and_no_text_is_on_both_sides(shared, texts, level, fraction, block):
    train, valid = sides(prepared_anew(shared, texts, level, block, valid_fraction=fraction))
    whole = [text for text in texts if text]
    if len(train) + len(valid) > len(whole):  # one document is on both sides, cut in two
        first, rest = train.pop(), valid.pop(0)
        assert first
        assert rest
        assert [*train, first + rest, *valid] == whole
        train.append(first)
    else:
        assert train + valid == whole
    if level == "char":
        assert len("".join(train)) == int((1 - fraction) * sum(map(len, texts)))


@given(lines_of_text, either_level, st.floats(0.1, 0.9), st.integers(0, 5))
def test_lines_are_documents_and_equal_lines_stay_together(shared, lines, level, fraction, seed):
    text = "".join(line + "\n" for line in lines)
    result = prepared_anew(shared, [text], level, lines=True, valid_fraction=fraction, seed=seed)
    train, valid = sides(result)
    assert Counter(train + valid) == Counter(lines)
    assert not set(train) & set(valid)
    order = [line for line in lines if line in set(train)]
    assert (train, valid) == (order, [line for line in lines if line not in set(train)])


@levels
def test_texts_to_validate_on_leave_the_corpus_whole(folder, level):
    addresses = written(folder, "the cat\nthe cat", "the mat")
    valid = written(folder, "the hat", "", "cat", prefix="valid")
    result = prepared(addresses, level, valid=valid)
    assert sides(result) == (["the cat\nthe cat", "the mat"], ["the hat", "cat"])
    assert result.statistics.documents == 4
    assert result.statistics.train_characters == 22
    assert result.statistics.valid_characters == 10
    assert result.statistics.valid_words == 3
    assert result.sources == addresses
    assert "+" in result.statistics.sha256


@levels
def test_lines_to_validate_on(folder, level):
    addresses = written(folder, "the cat\n\nthe mat\n")
    valid = written(folder, "the mat\nthe hat\n", prefix="valid")
    result = prepared(addresses, level, valid=valid, lines=True)
    assert sides(result) == (["the cat", "", "the mat"], ["the mat", "the hat"])


@levels
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("address", [".", "*.txt", "./one.txt ./two.txt ./held-out.txt"])
def test_texts_to_validate_on_are_taken_out_of_the_corpus(
    folder, monkeypatch, level, lines, address
):
    """However the corpus comes to name them too: they are never trained on."""
    monkeypatch.chdir(folder)
    for name, text in (("one", "cat"), ("held-out", "zebra"), ("two", "the mat")):
        (folder / f"{name}.txt").write_text(text)
    (folder / "link.txt").symlink_to("held-out.txt")
    addresses, valid = tuple(address.split()), (str(folder / "link.txt"),)
    result = prepared(addresses, level, valid=valid, lines=lines)
    train, held_out = sides(result)
    assert sorted(train) == ["cat", "the mat"]
    assert held_out == ["\ufffde\ufffd\ufffda"]
    assert not set("zbr") & set(result.tokenizer.vocabulary)
    assert UNKNOWN not in result.store.train
    assert sorted(map(Path, result.sources)) == [Path("one.txt"), Path("two.txt")]
    assert result.statistics.documents == 3
    assert result.statistics.valid_unknown == Counter("zbr")


def test_a_folder_to_validate_on_may_lie_within_the_corpus(folder):
    (folder / "held-out").mkdir()
    written(folder, "the cat", "the mat")
    written(folder / "held-out", "hat", "the ham")
    result = prepared((str(folder),), valid=(str(folder / "held-out"),))
    assert sides(result) == (["the cat", "the mat"], ["hat", "the ham"])


def test_a_corpus_that_is_all_named_to_validate_is_refused(folder, sentence):
    one, two = written(folder, PROSE, PROSE[::-1])
    for addresses, valid in (((one,), (one,)), ((one, two), (str(folder),))):
        with pytest.raises(CorpusError) as caught:
            prepared(addresses, valid=valid)
        sentence(caught.value, *addresses, "--valid")


@levels
def test_no_window_of_validation_text_is_trained_on(folder, level):
    generator = random.Random(1)
    words = ["".join(generator.choices("abcdefgh", k=6)) for _ in range(3000)]
    text = " ".join(words)
    result = prepared(written(folder, text), level)
    train = result.tokenizer.decode(result.store.train)
    valid = result.tokenizer.decode(result.store.valid)
    assert train + valid == text
    assert not any(valid[start : start + 20] in train for start in range(len(valid) - 20))


# The vocabulary


@levels
def test_the_vocabulary_is_that_of_the_training_part(folder, level):
    text = "the cat sat " * 50 + "the zebra"
    train, valid = cut(text, 0.02, whole_words=level == "word")
    assert not set("zbr") & set(train)
    assert set("zbr") <= set(valid)
    result = prepared(written(folder, text), level, valid_fraction=0.02)
    settings = TokenizerConfig(level=level)
    assert result.tokenizer.vocabulary == build_tokenizer([train], settings).vocabulary
    assert result.statistics.valid_unknown == Counter(c for c in valid if c in "zbr")
    assert result.store.valid.tolist().count(UNKNOWN) == 3
    assert UNKNOWN not in result.store.train


def test_a_text_without_unknown_characters_reports_none(folder):
    assert prepared(written(folder, "ab" * 50)).statistics.valid_unknown == {}


def test_vocabulary_settings_reach_the_tokenizer(folder):
    addresses = written(folder, PROSE)
    settings = TokenizerConfig(level="word", vocab_size=2, min_count=1)
    symbols = prepared(addresses, tokenizing=settings).tokenizer.vocabulary
    assert len([symbol for symbol in symbols if len(symbol) > 1]) == 2


@levels
def test_base_keeps_its_ids_and_learns_new_symbols(folder, level):
    base = build_tokenizer(["the dog the dog"], TokenizerConfig(level=level))
    result = prepared(written(folder, PROSE), level, base=base)
    assert result.tokenizer.vocabulary[: len(base.vocabulary)] == base.vocabulary
    assert set(result.tokenizer.vocabulary) == set(base.vocabulary) | set(
        prepared(written(folder, PROSE), level).tokenizer.vocabulary
    )
    train, valid = cut(PROSE, whole_words=level == "word")
    assert sides(result) == ([train], [valid])


def test_a_base_of_another_level_is_refused(folder):
    base = build_tokenizer(["the dog"], TokenizerConfig(level="word"))
    with pytest.raises(ConfigError):
        prepared(written(folder, PROSE), "char", base=base)


@levels
def test_fixed_is_used_as_it_is(folder, level):
    fixed = build_tokenizer(["Tech at"] * 2, TokenizerConfig(level=level))
    result = prepared(written(folder, PROSE), level, fixed=fixed)
    assert result.tokenizer is fixed
    train, valid = cut(PROSE, whole_words=level == "word")
    known = set("Tech at")
    for ids, text in ((result.store.train, train), (result.store.valid, valid)):
        shown = "".join(c if c in known else "\ufffd" for c in text)
        assert fixed.decode(ids) == shown
    assert result.statistics.valid_unknown == Counter(c for c in valid if c not in known)


# Statistics


@given(texts, either_level, st.floats(0.05, 0.95), st.integers(1, 30))
def test_statistics_of_files(shared, texts, level, fraction, block):
    result = prepared_anew(shared, texts, level, block, valid_fraction=fraction)
    train, valid = sides(result)
    statistics = result.statistics
    assert statistics.documents == sum(map(bool, texts))
    assert statistics.characters == sum(map(len, texts))
    assert statistics.train_characters == len("".join(train))
    assert statistics.valid_characters == len("".join(valid))
    assert statistics.valid_words == sum(len(document.split()) for document in valid)
    assert statistics.valid_unknown == {}


@given(lines_of_text, either_level, st.booleans())
def test_statistics_of_lines(shared, lines, level, ended):
    """A line's end is a character to predict: END_OF_DOCUMENT, whether a newline stood or not."""
    text = "\n".join(lines) + "\n" * (ended or not lines[-1])
    result = prepared_anew(shared, [text], level, lines=True, valid_fraction=0.4)
    train, valid = sides(result)
    statistics = result.statistics
    assert statistics.documents == len(lines)
    assert statistics.characters == sum(len(line) + 1 for line in lines)
    assert statistics.train_characters == sum(len(line) + 1 for line in train)
    assert statistics.valid_characters == sum(len(line) + 1 for line in valid)
    assert statistics.valid_words == sum(len(line.split()) for line in valid)


@levels
def test_a_word_across_a_chunk_border_counts_once(folder, monkeypatch, level):
    text = "x" * 90 + "longer words\u00a0here and\u3000there " + "y" * 50
    monkeypatch.setattr(reading, "BLOCK", 4)
    result = prepared(written(folder, text), level, valid=written(folder, text, prefix="valid"))
    assert sides(result) == ([text], [text])
    assert result.statistics.valid_words == 6


def test_words_of_two_documents_are_two_though_no_space_parts_them(folder):
    valid = written(folder, "one two", "three", prefix="valid")
    assert prepared(written(folder, PROSE), valid=valid).statistics.valid_words == 3


def test_an_empty_corpus_is_refused(folder):
    with raises_naming(CorpusError, "empty"):
        prepared(written(folder, "", ""))
    with raises_naming(CorpusError, "empty"):
        prepared(written(folder, PROSE), valid=written(folder, "", prefix="valid"))


def test_the_spooled_standard_input_is_read(folder):
    (spooled,) = written(folder, PROSE)
    result = prepared(("-",), stdin=folder / "text0.txt")
    assert result.name == "stdin"
    assert result.sources == ("stdin",)
    assert np.array_equal(result.store.train, prepared((spooled,)).store.train)


# The lines


@given(lines_of_text, either_level, st.floats(0.1, 0.9))
def test_the_training_lines_are_known_and_no_others(shared, lines, level, fraction):
    text = "".join(line + "\n" for line in lines)
    result = prepared_anew(shared, [text], level, lines=True, valid_fraction=fraction)
    train, _ = sides(result)
    assert hashes(result) == sorted(map(hash_line, set(train)))
    assert result.statistics.train_lines == len(set(train))
    again = prepared(
        written(shared, text), level, fixed=result.tokenizer, lines=True, valid_fraction=fraction
    )
    assert same(result, again)


@levels
def test_documents_are_no_lines(folder, level):
    result = prepared(written(folder, PROSE), level)
    assert result.lines is None
    assert result.statistics.train_lines == 0


# The cache


def refuse(*args):
    raise AssertionError("built again")


def refuse_building(monkeypatch):
    monkeypatch.setattr(prepare_module, "write_store", refuse)
    monkeypatch.setattr(prepare_module, "build_tokenizer", refuse)


def same(first, second):
    return (
        np.array_equal(first.store.train, second.store.train)
        and np.array_equal(first.store.valid, second.store.valid)
        and first.tokenizer == second.tokenizer
        and first.statistics == second.statistics
        and hashes(first) == hashes(second)
    )


def hashes(result):
    return None if result.lines is None else result.lines.hashes.tolist()


@levels
@pytest.mark.parametrize("lines", [True, False])
def test_the_second_time_nothing_is_built(folder, monkeypatch, level, lines):
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
    """Asked for one after the other, each gets what it would get from an empty cache."""
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
def test_what_does_not_decide_the_division_finds_the_same_store(folder, monkeypatch, one, other):
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


def test_a_text_that_validates_is_not_taken_for_one_that_trains(folder):
    (one,) = written(folder, PROSE, prefix="one")
    (two,) = written(folder, PROSE[::-1], prefix="two")
    first, second = prepared((one,), valid=(two,)), prepared((two,), valid=(one,))
    assert np.array_equal(first.store.train, second.store.valid)
    assert not same(first, second)
    assert not same(first, prepared((one, two)))


def test_another_text_to_validate_on_gives_another_store(folder):
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
def test_a_cache_without_room_still_serves(folder, monkeypatch, level):
    monkeypatch.setenv("CHARLSTM_CACHE_MB", "0")
    train, valid = cut(PROSE, whole_words=level == "word")
    assert sides(prepared(written(folder, PROSE), level)) == ([train], [valid])


# Texts that change


def test_a_text_that_is_not_the_expected_one_is_refused_before_anything_is_built(folder, sentence):
    addresses = written(folder, PROSE)
    sha256 = prepared(addresses).statistics.sha256
    assert same(prepared(addresses), prepared(addresses, sha256=sha256))
    shutil.rmtree(folder.parent / "cache")
    (valid,) = written(folder, "the cat", prefix="valid")
    written(folder, PROSE + "!")
    for extra, named in (({}, addresses), ({"valid": (valid,)}, (*addresses, valid))):
        with pytest.raises(CorpusError) as caught:
            prepared(addresses, sha256=sha256, **extra)
        sentence(caught.value, *named, "changed", "--from")
    assert not (folder.parent / "cache").exists()


def growing(monkeypatch, path, more):
    """Let a file grow once its length and hash have been found."""
    real = Corpus.fingerprint

    def then_grow(corpus):
        found = real(corpus)
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
    """What has been found of it would no longer be true, nor what the cache says that it holds."""
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
def test_a_text_that_grew_leaves_nothing_wrong_in_the_cache(folder, monkeypatch, level):
    """Restored, it is prepared as if nothing had happened."""
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


# What is kept


@levels
def test_another_version_of_unicode_has_other_entries(folder, monkeypatch, level):
    """Of it depends which characters are letters, and so which tokens a text has."""
    addresses = written(folder, PROSE)
    prepared(addresses, level)
    before = {entry.path.name for entry in cache.entries()}
    monkeypatch.setattr("unicodedata.unidata_version", "1.1.5")
    prepared(addresses, level)
    after = {entry.path.name for entry in cache.entries()}
    assert len(before) == 2
    assert len(after - before) == 2


def test_another_store_of_the_same_text_needs_another_version(folder):
    """Users have the stores of this version in their caches: it must name no others.

    If this fails because stores are written in another way, raise STORE_VERSION, and put the new
    version and digest here.
    """
    digest = hashlib.sha256()
    for level in ("char", "word"):
        for lines in (False, True):
            prepared(written(folder, "One fine day,\nthe 12 don't.\n" * 9), level, lines=lines)
            for kept in sorted(cache.entries(), key=lambda kept: kept.path.name.split("-")[0]):
                digest.update((kept.path / cache.DIGESTS).read_bytes())
            cache.clear()
    assert (prepare_module.STORE_VERSION, digest.hexdigest()) == (
        3,
        "8b576727052dd096303562f986540ad1ba6cc47497e9dd332b4291d2fd8ca16d",
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
    assert first.statistics.train_lines >= 2
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
        ("symbols", lambda folder: (folder / "tokenizer.json").unlink()),
        ("symbols", cut_off("tokenizer.json", 20)),
        ("symbols", cut_off("tokenizer.json", 0)),
        ("tokens", lambda folder: (folder / "SHA256SUMS").unlink()),
        ("symbols", cut_off("SHA256SUMS", 10)),
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
def test_a_cache_with_another_byte_is_built_again(tmp_path, monkeypatch, name):
    """An id beyond the vocabulary would end training with an IndexError, another one in silence."""
    monkeypatch.setenv("CHARLSTM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "a.txt"
    path.write_text("".join(f"{n} lines\n" for n in range(200)))
    config = CorpusConfig(addresses=(str(path),), lines=True)
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


def test_lone_surrogates_that_only_validation_has(tmp_path):
    """They come from encodings such as UTF-7, and JSON has none."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc " * 30 + rb"\udc80\udc80 abc")
    config = CorpusConfig(addresses=(str(path),), encoding="unicode_escape")
    assert prepare(config, TokenizerConfig()).statistics.valid_unknown == {"\ufffd": 2}


def test_names_of_very_many_files_are_not_all_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr("charlstm.dataset.prepare._RECORDED", 3 * len(str(tmp_path / "0.txt")))
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("some text\n" * 9)
    prepared = prepare(CorpusConfig(addresses=(str(tmp_path),)), TokenizerConfig())
    assert [*prepared.sources] == [*(str(tmp_path / f"{n}.txt") for n in range(3)), "and 6 more"]
