"""Tests of ``prediction.word_grammar``. Those of the predictor test all levels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.prediction.word_grammar import Words
from charlstm.tokenizer.segmentation import is_sign, tokens_of
from charlstm.tokenizer.word import WordTokenizer
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


SIGNS = "ab1.! \n中\u0301\u0e17\u0e35\u1000\u1039\ufe0f\u200d👍👩🏽🇩🇪🇫"
MORE = ["ab", " a", "..", " .", "\u0e17\u0e35", "🇩🇪", "👍👍", "👩\u200d👩", "a\u0301", "12"]
GRAMMARS = {rules: Words(WordTokenizer((*dict.fromkeys(SIGNS), *MORE), rules)) for rules in (1, 2)}


@pytest.mark.parametrize("rules", [1, 2])
@given(st.text(SIGNS, min_size=1, max_size=4))
def test_a_token_is_not_followed_by_a_continuation_of_it(rules, text):
    """So no predicted word begins with a vowel sign or the second half of a flag."""
    grammar, token = GRAMMARS[rules], next(tokens_of(text, rules))
    pieces = grammar._tokenizer.pieces[4:]
    found = {grammar._tokenizer.pieces[token_id] for token_id in grammar._merging_with(token)}
    merging = {piece for piece in pieces if next(tokens_of(token + piece, rules)) != token}
    if not token.isspace():
        assert found >= merging
        if not is_sign(token.lstrip()[0]) and token[-1] not in "\u1039\u200d":
            assert found == merging
