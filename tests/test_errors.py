"""What a message quotes may come from anybody, and is shown so that it steers nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.errors import CharlstmError, harmless

texts = st.text(st.characters(exclude_categories=())) | st.text("a\x1b\n\u202e\ud800é")


@given(texts)
def test_what_is_shown_is_one_line_that_can_be_encoded(text):
    shown = harmless(text)
    shown.encode()
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
    assert str(CharlstmError(text)) == shown
    assert harmless(shown) == shown


@given(texts, st.integers(1, 30))
def test_what_is_shown_is_a_beginning(text, most):
    whole, shown = harmless(text), harmless(text, most)
    assert shown == (whole if len(whole) <= most else whole[:most] + "…")


@pytest.mark.parametrize("text", ["", "Grüße, 世界", "a\u0301 naïve — text 🙂", "\u200d\u00a0"])
def test_what_people_write_is_shown_as_it_is(text):
    assert harmless(text) == text
