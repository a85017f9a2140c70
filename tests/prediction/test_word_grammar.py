"""Tests of ``prediction.word_grammar``. Those of the predictor test all levels."""

from __future__ import annotations

from charlstm.tokenizer.segmentation import tokens_of
from tests.prediction.oracles import predictor


def test_phrases_of_words_are_tokens_in_a_row():
    phrases = predictor("word", 1).predict("a ", 6, words=3)
    assert len({phrase.append for phrase in phrases}) == 6
    singles = predictor("word", 1).predict("a ", 60)
    begin = {p.text for p in singles}
    for phrase in phrases:
        tokens = [t.strip() for t in tokens_of(phrase.text) if t.strip()]
        assert phrase.special or tokens[0] in begin
        assert 0 < phrase.probability < 1


def test_a_half_typed_word_with_an_unknown_character_is_read():
    one = predictor("word", 1)
    assert one.context("a é").unread == ""
    assert one.predict("a é", 3)
