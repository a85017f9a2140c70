"""Tests of ``generation.rejection``: which samples are accepted, and when it gives up."""

from __future__ import annotations

from itertools import chain, cycle
from itertools import count as numbers

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.corpus.line_hashes import LineHashes
from charlstm.errors import GenerationError, UsageError
from charlstm.generation.rejection import CUT_TOKENS, PATIENCE, check_finished, reject_known
from charlstm.generation.samples import Sample
from tests.messages import raises_naming
from tests.models import CHARS, PIECES, WORDS

TEXTS = st.lists(st.text("ab", max_size=2), max_size=12)


def samples(texts, prompt=""):
    return (Sample(index, prompt, text, 1, 1, "end", -1.0) for index, text in enumerate(texts))


def texts_of(found):
    return [each.text for each in found]


@given(TEXTS, st.sets(st.text("ab", max_size=2)), st.booleans(), st.integers(0, 9))
def test_accepted_samples_are_neither_known_nor_seen(texts, known, unique, first):
    expected = []
    for text in texts:
        if text not in known and not (unique and text in expected):
            expected.append(text)
    if not expected:
        return
    seen = set() if unique else None
    found = list(reject_known(samples(texts), len(expected), known=known, seen=seen, first=first))
    assert texts_of(found) == expected
    assert [each.index for each in found] == list(range(first, first + len(expected)))
    assert seen == (set(expected) if unique else None)


def test_a_text_is_known_with_its_prompt_and_without_line_ends():
    known = LineHashes.from_lines(["anna", "bert\r\n"])
    (found,) = reject_known(samples(["na", "na\n", "na\r\n", "ne"], "an"), 1, known=known)
    assert found.text == "ne"
    (found,) = reject_known(samples(["t", "n"], "ber"), 1, known=known)
    assert found.text == "n"


@given(st.lists(st.text("a\r\n", min_size=1, max_size=6), min_size=1), st.booleans())
def test_a_document_is_known_whatever_it_ends_with(documents, hashed):
    known = LineHashes.from_lines(documents) if hashed else set(documents)
    with pytest.raises(GenerationError):
        list(reject_known(samples(documents), 1, known=known))
    (found,) = reject_known(samples([*documents, "b\n\n"]), 1, known=known)
    assert found.text == "b\n\n"


def test_unique_applies_across_prompts():
    seen = set()
    assert texts_of(reject_known(samples(["bc"], "a"), 1, seen=seen)) == ["bc"]
    assert texts_of(reject_known(samples(["c", "d"], "ab"), 1, seen=seen)) == ["d"]


def test_no_unnecessary_samples_are_generated():
    endless = samples(map(str, numbers()))
    assert len(list(reject_known(endless, 3, seen=set()))) == 3
    assert next(endless).text == "3"


def test_what_is_found_comes_before_the_end_is_known(sentence):
    found = reject_known(samples(cycle("ab")), 3, seen=set())
    assert [next(found).text, next(found).text] == ["a", "b"]
    with pytest.raises(GenerationError) as caught:
        next(found)
    sentence(caught.value, "2 of 3 samples", "2,000", "`temperature`")


def test_it_gives_up_after_too_many_rejections_in_a_row():
    texts = (str(index // PATIENCE) for index in numbers())
    assert texts_of(reject_known(samples(texts), 5, seen=set())) == ["0", "1", "2", "3", "4"]
    texts = (str(index // (PATIENCE + 1)) for index in numbers())
    with raises_naming(GenerationError, "1 of 5 samples"):
        list(reject_known(samples(texts), 5, seen=set()))


def test_samples_may_be_used_up(sentence):
    with pytest.raises(GenerationError) as caught:
        list(reject_known(samples("aab"), 3, seen=set()))
    sentence(caught.value, "2 of 3 samples")


# Samples that do not end


def cut(texts, tokens=1):
    """Return samples, of which those in capitals were cut at the length."""
    return (
        Sample(index, "", text, tokens, 1, "length" if text.isupper() else "until", -1.0)
        for index, text in enumerate(texts)
    )


@given(st.text("abAB", max_size=12), st.booleans(), st.sets(st.sampled_from("abAB")))
def test_accepted_samples_are_finished(texts, unique, known):
    expected = [text for text in texts if text.islower() and text not in known]
    expected = list(dict.fromkeys(expected)) if unique else expected
    if not expected:
        return
    seen = set() if unique else None
    found = reject_known(cut(texts), len(expected), known=known, seen=seen, finished=True)
    assert texts_of(found) == expected
    assert texts_of(reject_known(cut("A"), 1)) == ["A"]


def test_a_cut_sample_does_not_count_as_seen():
    assert texts_of(reject_known(cut(["A", "a"]), 1, seen=(seen := set()), finished=True)) == ["a"]
    assert seen == {"a"}


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (cycle("A"), ["no finished sample", "2,000 attempts", "`length`", "now 1"]),
        (chain("a", cycle("aB")), ["last 2,000", "1,000", "cut off", "`length`", "`temperature`"]),
        (chain("Aa", cycle("a")), ["last 2,000", "`temperature`"]),
    ],
    ids=["cut", "mixed", "seen"],
)
def test_the_remedy_is_that_of_what_was_rejected(sentence, texts, parts):
    with pytest.raises(GenerationError) as caught:
        list(reject_known(cut(texts), 2, seen=set(), finished=True))
    sentence(caught.value, *parts)
    assert ("`length`" in str(caught.value)) == ("`length`" in parts)
    assert ("`temperature`" in str(caught.value)) == ("`temperature`" in parts)


def test_long_cut_samples_are_given_up_sooner():
    tokens = CUT_TOKENS // 10
    with raises_naming(GenerationError, "no finished sample", "11 attempts"):
        list(reject_known(cut(cycle("A"), tokens), 1, finished=True))
    kept = reject_known(cut(cycle("AAAAAAAAAAa"), tokens), 5, finished=True)
    assert texts_of(kept) == ["a"] * 5


@pytest.mark.parametrize("tokenizer", [CHARS, PIECES, WORDS], ids=["char", "subword", "word"])
def test_samples_must_be_able_to_finish(tokenizer):
    check_finished(SampleConfig(), tokenizer, ends=False)
    asked = SampleConfig(finished=True)
    for config in (asked, asked.replace(until="document"), asked.replace(stop=("Q", "aQ"))):
        check_finished(config, tokenizer, ends=True)
        with raises_naming(UsageError, "documents end", "`until`", "`stop`", "`finished`"):
            check_finished(config, tokenizer, ends=False)
    for ending in ({"until": "line"}, {"stop": ("Q", "a")}, {"match": "a*"}):
        check_finished(asked.replace(**ending), tokenizer, ends=False)
