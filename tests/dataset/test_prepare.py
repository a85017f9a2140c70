"""Tests of ``dataset.prepare``: texts are divided, encoded and counted correctly."""

from __future__ import annotations

import gzip
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import CorpusConfig, Division, TokenizerConfig
from charlstm.corpus import documents, reading
from charlstm.corpus.line_hashes import hash_line
from charlstm.dataset import prepare as preparation
from charlstm.dataset.prepare import prepare
from charlstm.errors import ConfigError, CorpusError
from charlstm.system import cache
from charlstm.tokenizer.base import UNKNOWN
from charlstm.tokenizer.vocabulary import build_tokenizer
from charlstm.tokenizer.word import WordTokenizer
from tests.dataset.helpers import (
    PROSE,
    cut,
    hashes,
    levels,
    prepared,
    same,
    sides,
    written,
)
from tests.messages import raises_naming


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Like ``folder``, for tests that run many times (see ``prepared_anew``)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CHARLSTM_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield tmp_path_factory.mktemp("texts")


# Progress


@levels
@pytest.mark.parametrize("lines", [True, False])
def test_each_pass_over_the_text_reports_its_progress(folder, monkeypatch, level, lines):
    for module in (documents, preparation):
        monkeypatch.setattr(module, "REPORT_EVERY", 100)
    if not lines:  # with lines, a chunk is a line
        monkeypatch.setattr(reading, "BLOCK", 50)
    reported = {}

    def tell(task, done, total):
        reported.setdefault(task, []).append((done, total))

    addresses = written(folder, PROSE)
    prepared(addresses, level, lines=lines, on_reading=tell)
    assert list(reported) == ["reading", "vocabulary", "encoding"]
    for steps in reported.values():
        done, totals = zip(*steps, strict=True)
        assert list(done) == sorted(set(done))
        assert 0.8 * totals[0] < done[-1] <= totals[0] <= len(PROSE.encode())
        assert len(set(totals)) == 1
    reported.clear()
    prepared(addresses, level, lines=lines, on_reading=tell)
    assert list(reported) == ["reading"]  # the other results are in the cache


def test_the_total_of_a_compressed_text_is_unknown(folder, monkeypatch):
    monkeypatch.setattr(documents, "REPORT_EVERY", 100)
    (folder / "text.txt.gz").write_bytes(gzip.compress(PROSE.encode()))
    reported = []
    prepared((str(folder / "text.txt.gz"),), on_reading=lambda *each: reported.append(each))
    assert [(task, total) for task, _, total in reported] == [("reading", None)] * len(reported)
    assert reported


# Stores


@levels
def test_the_end_of_a_file_is_validation_text(folder, level):
    result = prepared(written(folder, PROSE), level)
    train, valid = cut(PROSE, whole_words=level != "char")
    assert sides(result) == ([train], [valid])
    assert not set(result.store.train.tolist()) & {UNKNOWN}
    assert result.name == "text0"
    assert result.sources == written(folder, PROSE)


texts = st.lists(st.text(st.sampled_from("ab \n\ré"), max_size=40), min_size=1, max_size=4).filter(
    any
)
# Some lines are blank. A single line could not be divided.
lines_of_text = st.lists(st.text(st.sampled_from("ab é"), max_size=9), max_size=30).filter(
    lambda lines: len(set(not_blank(lines))) > 1
)


def not_blank(lines):
    return [line for line in lines if line.strip()]


either_level = st.sampled_from(["char", "subword", "word"])


def prepared_anew(folder, texts, level, block=None, **options):
    """Prepare without a cache, with every character in the vocabulary, so that text is kept."""
    cache.clear()
    fixed = build_tokenizer(["ab \n\ré"], TokenizerConfig(level=level))
    with pytest.MonkeyPatch.context() as patch:
        if block is not None:
            patch.setattr(reading, "BLOCK", block)
        return prepared(written(folder, *texts), level, fixed=fixed, **options)


@given(texts, either_level, st.floats(0.05, 0.95), st.integers(1, 30))
def test_every_character_is_in_exactly_one_part(shared, texts, level, fraction, block):
    train, valid = sides(prepared_anew(shared, texts, level, block, valid_fraction=fraction))
    whole = [text for text in texts if text]
    if len(train) + len(valid) > len(whole):  # one document is cut in two
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
    assert result.statistics.blank == len(lines) - len(not_blank(lines))
    lines = not_blank(lines)
    assert train
    assert valid
    assert Counter(train + valid) == Counter(lines)
    assert not set(train) & set(valid)
    order = [line for line in lines if line in set(train)]
    assert (train, valid) == (order, [line for line in lines if line not in set(train)])


@levels
def test_with_a_validation_text_the_corpus_is_not_divided(folder, level):
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
def test_a_validation_text_of_lines(folder, level):
    addresses = written(folder, "the cat\n\nthe mat\n")
    valid = written(folder, "the mat\nthe hat\n", prefix="valid")
    result = prepared(addresses, level, valid=valid, lines=True)
    assert sides(result) == (["the cat", "the mat"], ["the mat", "the hat"])


@levels
@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("address", [".", "*.txt", "./one.txt ./two.txt ./held-out.txt"])
def test_validation_texts_are_removed_from_the_corpus(folder, monkeypatch, level, lines, address):
    """They are never trained on, even if the corpus names them too."""
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


def test_a_validation_folder_may_be_inside_the_corpus(folder):
    (folder / "held-out").mkdir()
    written(folder, "the cat", "the mat")
    written(folder / "held-out", "hat", "the ham")
    result = prepared((str(folder),), valid=(str(folder / "held-out"),))
    assert sides(result) == (["the cat", "the mat"], ["hat", "the ham"])


def test_a_corpus_that_is_all_validation_text_is_refused(folder, sentence):
    one, two = written(folder, PROSE, PROSE[::-1])
    for addresses, valid in (((one,), (one,)), ((one, two), (str(folder),))):
        with pytest.raises(CorpusError) as caught:
            prepared(addresses, valid=valid)
        sentence(caught.value, *addresses, "`valid`")


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


# Vocabulary


@levels
def test_the_vocabulary_comes_from_the_training_text(folder, level):
    text = "the cat sat " * 50 + "the zebra"
    train, valid = cut(text, 0.02, whole_words=level != "char")
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
    tokens = prepared(addresses, tokenizing=settings).tokenizer.vocabulary
    assert len([token for token in tokens if len(token) > 1]) == 2


@levels
def test_a_base_keeps_its_ids_and_gets_new_tokens(folder, level):
    base = build_tokenizer(["the dog the dog"], TokenizerConfig(level=level))
    result = prepared(written(folder, PROSE), level, base=base)
    assert result.tokenizer.vocabulary[: len(base.vocabulary)] == base.vocabulary
    added = base.addable(prepared(written(folder, PROSE), level).tokenizer.vocabulary)
    assert set(result.tokenizer.vocabulary) == {*base.vocabulary, *added}
    train, valid = cut(PROSE, whole_words=level != "char")
    assert sides(result) == ([train], [valid])


def test_a_base_of_another_level_is_refused(folder):
    base = build_tokenizer(["the dog"], TokenizerConfig(level="word"))
    with pytest.raises(ConfigError):
        prepared(written(folder, PROSE), "char", base=base)


def test_a_base_applies_its_rules_to_added_words(folder):
    """This happens when an older model is fine-tuned; the next run must not reuse its results."""
    addresses = written(folder, "ท\u0e35 ก\u0e33 🇩🇪 a'\n" * 50)
    old = prepared(addresses, "word", base=WordTokenizer(("a",), 1)).tokenizer
    new = prepared(addresses, "word").tokenizer
    assert (old.segmentation, new.segmentation) == (1, 2)
    assert "ท\u0e35" in new.vocabulary
    assert not {"ท\u0e35", "🇩🇪", " 🇩🇪"} & set(old.vocabulary)
    assert prepared(addresses, "word", fixed=old).tokenizer == old


@levels
def test_a_fixed_tokenizer_does_not_change(folder, level):
    fixed = build_tokenizer(["Tech at"] * 2, TokenizerConfig(level=level))
    result = prepared(written(folder, PROSE), level, fixed=fixed)
    assert result.tokenizer is fixed
    train, valid = cut(PROSE, whole_words=level != "char")
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
    """The end of a line is a character to predict, END_OF_DOCUMENT, with or without a newline."""
    text = "\n".join(lines) + "\n" * (ended or not lines[-1])
    result = prepared_anew(shared, [text], level, lines=True, valid_fraction=0.4)
    train, valid = sides(result)
    statistics = result.statistics
    lines = not_blank(lines)
    assert statistics.documents == len(lines)
    assert statistics.distinct == len(set(lines))
    assert statistics.characters == sum(len(line) + 1 for line in lines)
    assert statistics.train_characters == sum(len(line) + 1 for line in train)
    assert statistics.valid_characters == sum(len(line) + 1 for line in valid)
    assert statistics.valid_words == sum(len(line.split()) for line in valid)


@levels
def test_a_word_that_spans_chunks_counts_once(folder, monkeypatch, level):
    text = "x" * 90 + "longer words\u00a0here and\u3000there " + "y" * 50
    monkeypatch.setattr(reading, "BLOCK", 4)
    result = prepared(written(folder, text), level, valid=written(folder, text, prefix="valid"))
    assert sides(result) == ([text], [text])
    assert result.statistics.valid_words == 6


def test_words_at_document_boundaries_are_separate(folder):
    valid = written(folder, "one two", "three", prefix="valid")
    assert prepared(written(folder, PROSE), valid=valid).statistics.valid_words == 3


def test_an_empty_corpus_is_refused(folder):
    with raises_naming(CorpusError, "empty"):
        prepared(written(folder, "", ""))
    with raises_naming(CorpusError, "empty"):
        prepared(written(folder, PROSE), valid=written(folder, "", prefix="valid"))


def test_spooled_stdin_is_read(folder):
    (spooled,) = written(folder, PROSE)
    result = prepared(("-",), stdin=folder / "text0.txt")
    assert result.name == "stdin"
    assert result.sources == ("stdin",)
    assert np.array_equal(result.store.train, prepared((spooled,)).store.train)


def test_a_run_by_rules_1_finds_its_text_again(tmp_path):
    """This includes byte-order marks and the files of checkpoints in the folder."""
    (tmp_path / "texts" / "model").mkdir(parents=True)
    (tmp_path / "texts" / "a.txt").write_bytes(("\ufeff" + PROSE).encode())
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / "texts" / "model" / name).write_text("{}\n" * 50)
    counted = [
        prepared((str(tmp_path / "texts"),), division=Division(rules=rules)).statistics
        for rules in (1, 2)
    ]
    assert [each.documents for each in counted] == [3, 1]
    assert counted[0].characters == counted[1].characters + 1 + 2 * 150


# Lines


@given(lines_of_text, either_level, st.floats(0.1, 0.9))
def test_the_hashes_contain_all_lines_and_no_others(shared, lines, level, fraction):
    text = "".join(line + "\n" for line in lines)
    result = prepared_anew(shared, [text], level, lines=True, valid_fraction=fraction)
    distinct = set(not_blank(lines))
    assert hashes(result) == sorted(map(hash_line, distinct))
    assert result.statistics.distinct == len(distinct)
    again = prepared(
        written(shared, text), level, fixed=result.tokenizer, lines=True, valid_fraction=fraction
    )
    assert same(result, again)


@levels
def test_files_as_documents_have_no_line_hashes(folder, level):
    result = prepared(written(folder, PROSE), level)
    assert result.lines is None
    assert result.statistics.distinct == 0


def test_lone_surrogates_in_the_validation_text(tmp_path):
    """They come from encodings such as UTF-7, and JSON can't represent them."""
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc " * 30 + rb"\udc80\udc80 abc")
    config = CorpusConfig(addresses=(str(path),), encoding="unicode_escape")
    assert prepare(config, TokenizerConfig()).statistics.valid_unknown == {"\ufffd": 2}


def test_the_recorded_file_names_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr("charlstm.dataset.prepare._RECORDED", 3 * len(str(tmp_path / "0.txt")))
    for number in range(9):
        (tmp_path / f"{number}.txt").write_text("some text\n" * 9)
    prepared = prepare(CorpusConfig(addresses=(str(tmp_path),)), TokenizerConfig())
    assert [*prepared.sources] == [*(str(tmp_path / f"{n}.txt") for n in range(3)), "and 6 more"]


def test_a_mark_is_text_only_by_rules_1(tmp_path):
    addresses = written(tmp_path, "\ufeff" + PROSE)
    for rules, marks in ((1, 1), (2, 0)):
        result = prepared(addresses, division=Division(rules=rules))
        assert result.statistics.characters == len(PROSE) + marks
