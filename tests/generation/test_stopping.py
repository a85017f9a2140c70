"""Tests of ``generation.stopping``: the end of a text does not depend on its pieces."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charlstm.config import SampleConfig
from charlstm.generation.stopping import Endings, PendingText, StopMatch, beginning_at_end

UNITS = (None, "sentence", "line", "paragraph", "document")
SHORT = st.text("ab", max_size=8)
STOPS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3).map(tuple)
MIXED_STOPS = st.lists(st.text("a.\n b", min_size=1, max_size=3), max_size=2).map(tuple)
MIXED = st.text("ab .!…\"'”)\n\r\t。！”」", max_size=14)


def endings(stop=(), until=None):
    return Endings(SampleConfig(stop=tuple(stop), until=until))


def first_complete(text, config):
    """Find the ending by searching every beginning of the text, shortest first."""
    looked_for = Endings(config)
    return next((found for n in range(len(text) + 1) if (found := looked_for.find(text[:n]))), None)


def fed(pieces, config, may_end=lambda length: True):
    """Add a text in pieces. Return the text that was shown, and why it ended."""
    looked_for, pending, shown, length = Endings(config), PendingText(), "", 0
    for piece in pieces:
        length += len(piece)
        more, pending, reason = looked_for.add(pending, piece, may_end=may_end(length))
        shown += more
        if reason is not None:
            return shown, reason
    return shown + pending.text, None


# Stop texts


@given(SHORT, STOPS)
def test_the_stop_text_that_is_complete_first_counts(text, stops):
    begins = (
        StopMatch(end, start, "stop")
        for end in range(len(text) + 1)
        for start in range(end)
        if text[start:end] in stops
    )
    assert endings(stops).find(text) == next(begins, None)


@given(SHORT, STOPS, st.integers(0, 8))
def test_an_ending_that_was_already_complete_does_not_count(text, stops, searched):
    begins = (
        StopMatch(end, start, "stop")
        for end in range(searched + 1, len(text) + 1)
        for start in range(end)
        if text[start:end] in stops
    )
    assert endings(stops).find(text, searched=searched) == next(begins, None)


@given(SHORT, STOPS)
def test_the_longest_beginning_of_a_stop_text_is_held_back(text, stops):
    beginnings = {stop[:length] for stop in stops for length in range(1, len(stop))}
    expected = max((n for n in range(1, len(text) + 1) if text[-n:] in beginnings), default=0)
    assert endings(stops).held_back(text) == expected
    assert beginning_at_end(text, stops) == text[len(text) - expected :]


# Units


@pytest.mark.parametrize(
    ("unit", "text", "unit_of_it"),
    [
        ("line", "one\ntwo", "one"),
        ("line", "one\r\ntwo", "one"),
        ("line", "one\rtwo", "one"),
        ("line", "\n \r\n one \ntwo", "\n \r\n one "),
        ("paragraph", "one\ntwo\n\nthree", "one\ntwo"),
        ("paragraph", "one\r\ntwo\r\n\r\nthree", "one\r\ntwo"),
        ("paragraph", "one\rtwo\r\rthree", "one\rtwo"),
        ("paragraph", "one\n \t\nthree", "one"),
        ("paragraph", "\n\n\none\n\ntwo", "\n\n\none"),
        ("paragraph", "one\u00a0\n\u2003\ntwo", "one\u00a0"),
        ("sentence", "One. Two.", "One."),
        ("sentence", "One.\nTwo.", "One."),
        ("sentence", "One?! Two", "One?!"),
        ("sentence", "“One…” Two", "“One…”"),
        ("sentence", "(One.) Two", "(One.)"),
        ("sentence", "It is 3.14 now. Two", "It is 3.14 now."),
        ("sentence", "一。二。", "一。"),
        ("sentence", "「一！」二", "「一！」"),
        ("sentence", " \n One. Two", " \n One."),
    ],
)
def test_a_unit_ends_where_a_reader_says(unit, text, unit_of_it):
    found = endings(until=unit).find(text)
    assert (text[: found.cut], found.reason) == (unit_of_it, "until")


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("line", "\n\r\n \t"),
        ("line", "one"),
        ("paragraph", "one\n"),
        ("paragraph", "one\r\ntwo\r\n"),
        ("paragraph", "\r\n\r\none"),
        ("sentence", "One."),
        ("sentence", "www.example.org"),
        ("sentence", "一。"),
        ("document", "One.\n\nTwo.\n\n"),
    ],
)
def test_a_unit_that_has_not_ended(unit, text):
    assert endings(until=unit).find(text) is None


@given(MIXED, st.sampled_from(["sentence", "line", "paragraph"]))
def test_no_unit_is_empty(text, unit):
    found = endings(until=unit).find(text)
    assert found is None or text[: found.cut].strip()


@given(MIXED)
def test_a_line_is_what_python_says(text):
    found = endings(until="line").find(text)
    lines = re.match(r"\s*\S.*?(?=[\r\n])", text, re.DOTALL)
    assert (None if found is None else text[: found.cut]) == (lines and lines[0])


# While a text grows


@given(MIXED, MIXED_STOPS, st.sampled_from(UNITS), st.data())
def test_the_pieces_of_a_text_make_no_difference(text, stop, unit, data):
    """If a piece completes several endings at the same time, the first one counts."""
    config = SampleConfig(stop=stop, until=unit)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    expected = first_complete(text, config)
    shown, reason = fed(pieces, config)
    assert reason == (expected and expected.reason)
    assert shown == (text if expected is None else text[: expected.cut])
    assert Endings(config).find(text) == expected


@given(MIXED, MIXED_STOPS, st.sampled_from(UNITS), st.integers(0, 14))
def test_an_ending_that_is_complete_too_early_never_counts(text, stop, unit, least):
    """The text continues until an ending is complete at ``least`` characters or more."""
    config = SampleConfig(stop=stop, until=unit)
    shown, reason = fed(text, config, lambda length: length >= least)
    assert text.startswith(shown)
    if reason is None:
        assert shown == text
        return
    ends = [
        found
        for n in range(least, len(text) + 1)
        if (found := Endings(config).find(text[:n], searched=n - 1))
    ]
    assert (len(shown), reason) == (ends[0].cut, ends[0].reason)
    assert ends[0].complete >= least


@given(MIXED, st.sampled_from(UNITS))
def test_text_is_not_held_back_without_need(text, unit):
    """Text is held back only if it can be the beginning of an ending."""
    looked_for = endings(until=unit)
    if looked_for.find(text) is None and (held := looked_for.held_back(text)):
        following = (looked_for.find(text + more) for more in (" ", "x", "\n\n"))
        assert 0 < held <= len(text)
        assert any(following) or not text.strip()


def test_there_may_be_no_stop_conditions():
    assert not endings()
    assert not endings(until="document")
    assert endings(("a",))
    assert endings(until="line")
