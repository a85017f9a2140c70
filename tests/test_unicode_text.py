"""Tests of ``charlstm.unicode_text``."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from charlstm.unicode_text import has_surrogates


@given(st.text(st.characters()))
@example("")
@example("\ud7ff\ue000")
@example("a\ud800")
@example("\udfff")
def test_a_text_has_surrogates_if_it_can_not_be_encoded(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        assert has_surrogates(text)
    else:
        assert not has_surrogates(text)
