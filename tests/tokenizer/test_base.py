"""Tests of ``tokenizer.base``: encoding loses nothing, and ids do not change."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import ConfigError
from charlstm.tokenizer.base import UNKNOWN
from charlstm.tokenizer.char import CharTokenizer
from charlstm.tokenizer.segmentation import tokens_of
from charlstm.tokenizer.word import WordTokenizer
from tests.tokenizer.helpers import (
    anything,
    built,
    levels,
    wordy,
)


@given(levels, st.lists(wordy, max_size=4), st.data())
def test_known_characters_are_decoded_again(level, texts, data):
    tokenizer = built(level, *texts)
    characters = sorted(set("".join(texts)))
    text = data.draw(st.text(st.sampled_from(characters)) if characters else st.just(""))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.uint32
    assert tokenizer.decode(ids) == text
    assert UNKNOWN not in ids


@given(levels, anything, anything)
def test_unknown_characters_become_the_unknown_token_and_are_counted(level, known, text):
    tokenizer = built(level, known)
    expected = "".join(c if c in tokenizer.vocabulary else "\ufffd" for c in text)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == expected
    counts = tokenizer.unknown_characters(text)
    assert counts == Counter(c for c in text if c not in tokenizer.vocabulary)
    assert counts.total() == np.count_nonzero(ids == UNKNOWN)


@given(levels, st.lists(wordy, max_size=4))
def test_ids_pieces_and_sizes_agree(level, texts):
    tokenizer = built(level, *texts, min_count=1)
    reserved = 4 if level == "word" else 2
    assert tokenizer.level == level
    assert tokenizer.vocab_size == reserved + len(tokenizer.vocabulary) == len(tokenizer.pieces)
    assert tokenizer.pieces[reserved:] == tokenizer.vocabulary
    assert tokenizer.pieces[:reserved] == ("", "\ufffd", "", "")[:reserved]
    ids = list(range(tokenizer.vocab_size))
    assert tokenizer.decode(ids) == tokenizer.decode(np.array(ids)) == "".join(tokenizer.pieces)
    assert tokenizer.never_generated.tolist() == [UNKNOWN]
    assert tokenizer.spells is (level == "word")
    characters = [i for i in ids[reserved:] if len(tokenizer.pieces[i]) == 1]
    assert tokenizer.character_ids.tolist() == characters


@given(levels, wordy, wordy)
def test_extending_keeps_ids_and_adds_tokens(level, old_text, new_text):
    old, new = built(level, old_text, min_count=1), built(level, new_text, min_count=1)
    both = old.extend(new)
    assert both.vocabulary[: len(old.vocabulary)] == old.vocabulary
    added = [token for token in new.vocabulary if level != "subword" or len(token) == 1]
    assert set(both.vocabulary) == {*old.vocabulary, *added}
    assert len(both.vocabulary) == len(set(both.vocabulary))
    assert both.decode(both.encode(old_text + new_text)) == old_text + new_text


@given(levels, wordy, wordy)
def test_building_with_a_base_equals_building_and_extending(level, old_text, new_text):
    old, new = built(level, old_text), built(level, new_text)
    assert built(level, new_text, base=old) == old.extend(new)


def test_extending_needs_the_same_level(sentence):
    with pytest.raises(ConfigError) as caught:
        CharTokenizer(("a",)).extend(WordTokenizer(("a",)))
    sentence(caught.value, "char-level", "word-level", "`level` char")


@given(levels, anything)
def test_splitting_a_prompt_loses_nothing(level, prompt):
    head, prefix = built(level, "").split_prompt(prompt)
    assert head + prefix == prompt
    if level == "char":
        assert prefix == ""
    elif prompt.endswith(" "):
        assert prefix == " "
    else:
        assert prefix in ["", *list(tokens_of(prompt, 2))[-1:]]
