"""Tests of ``errors``: hostile text in a message is escaped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import CharlstmError, harmless

texts = st.text(st.characters(exclude_categories=())) | st.text("a\x1b\n\u202e\ud800é")


@given(texts)
def test_a_message_is_one_line_that_can_be_encoded(text):
    shown = harmless(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    assert str(CharlstmError(text)) == shown
    assert harmless(shown) == shown


@given(texts, st.integers(1, 30))
def test_long_text_is_cut(text, most):
    whole, shown = harmless(text), harmless(text, most)
    assert shown == (whole if len(whole) <= most else whole[:most] + "…")


@pytest.mark.parametrize("text", ["", "Grüße, 世界", "a\u0301 naïve — text 🙂", "\u200d\u00a0"])
def test_ordinary_text_is_not_escaped(text):
    assert harmless(text) == text
