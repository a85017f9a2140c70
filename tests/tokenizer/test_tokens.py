"""Tests of ``tokenizer.tokens``: special tokens can be identified without their text."""

from __future__ import annotations

import pytest

from charlstm.tokenizer.base import BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, UNKNOWN
from charlstm.tokenizer.tokens import ScoredToken, scored_token, special_token
from tests.tokenizer.helpers import built

NAMES = {
    END_OF_DOCUMENT: "end",
    UNKNOWN: "unknown",
    BEGIN_SPELLING: "begin_spelling",
    END_SPELLING: "end_spelling",
}


@pytest.mark.parametrize("level", ["char", "subword", "word"])
def test_every_id_is_special_or_has_its_own_text(level):
    tokenizer = built(level, "the cat\ufffd, the cat", min_count=1)
    special = {n: special_token(tokenizer, n) for n in range(tokenizer.vocab_size)}
    reserved = len(tokenizer.reserved)
    assert special == {n: NAMES[n] if n < reserved else None for n in special}
    assert len({(tokenizer.pieces[n], name) for n, name in special.items()}) == len(special)


def test_a_replacement_character_of_the_text_is_not_the_unknown_token():
    tokenizer = built("char", "\ufffd")
    assert scored_token(tokenizer, 2, -0.5) == ScoredToken("\ufffd", -0.5)
    assert scored_token(tokenizer, UNKNOWN, -0.5) == ScoredToken("\ufffd", -0.5, "unknown")
