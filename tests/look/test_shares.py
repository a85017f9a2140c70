"""Where the attention looks, in the page in a browser."""

from __future__ import annotations

import re

import numpy as np
import pytest

from charlstm.engine.inference import build_engine
from charlstm.tokenizer.base import END_OF_DOCUMENT
from tests.look.helpers import attentive, page_of, shakespeare, shares_after

TEXT = "What say you to my suit?\nGood night, good night! (he said)\n"
REACH = 24
SHADES = (0.003, 0.01, 0.03, 0.1, 0.3)
# The classes of the tokens, the boxes of the list as text, and the widths of their bars.
SHOWN = """(() => [
  [...document.querySelectorAll("#back-text span")].map((node) => node.className),
  [...document.querySelectorAll("#back-shares .alternative")].map((box) => box.textContent),
  [...document.querySelectorAll("#back-shares .bar i")].map((bar) => parseFloat(bar.style.width)),
])()"""


@pytest.fixture
def opened(browser, tmp_path):
    """Return a function that opens the page of a checkpoint."""

    def open_page(checkpoint, text, **options):
        path = page_of(checkpoint, tmp_path / "page.html", text=text, prompt=None)
        browser.open(path, **options)
        browser.until("performance.getEntriesByName('looked').length")
        return browser

    return open_page


def focus(browser):
    browser.run("document.querySelector('#back-text').focus(); 0")


def outlined(browser):
    return [
        browser.run(f"document.querySelector('#{host} .here').dataset.at")
        for host in ("back-text", "unit-text")
    ]


def assert_shown(browser, checkpoint, ids, t):
    """Check what is shown at token ``t``, which is the last of the ids of its document."""
    shares = shares_after(checkpoint, ids)[-1]
    classes, boxes, widths = browser.run(SHOWN)
    by_place = {t - back: share for back, share in enumerate(shares[::-1])}
    if 1 < len(ids) == len(shares):
        start = by_place.pop(t - len(ids) + 1)
        assert boxes[1].startswith("the start of the document")
        assert widths[1] == pytest.approx(100 * start, abs=0.01)
    for at, found in enumerate(classes):
        share = by_place.get(at, 0)
        if all(abs(share / least - 1) > 1e-3 for least in SHADES):
            expected = int(np.searchsorted(SHADES, share, side="right"))
            assert found.replace("here", "").strip() == (f"a{expected}" if expected else "")
    assert boxes[0].startswith("the outlined token itself")
    assert widths[0] == pytest.approx(100 * shares[-1], abs=0.01)
    largest = sorted((share for at, share in by_place.items() if at < t), reverse=True)[:5]
    listed = len(largest)
    np.testing.assert_allclose(widths[len(widths) - listed :], 100 * np.array(largest), atol=0.01)


def test_the_text_is_shaded_by_the_shares_of_the_outlined_token(opened):
    checkpoint = attentive(REACH, text=TEXT)
    browser = opened(checkpoint, TEXT)
    ids = checkpoint.tokenizer.encode_beginning(TEXT).tolist()
    focus(browser)
    last = len(TEXT) - 1
    assert outlined(browser) == [f"{last}"] * 2
    assert_shown(browser, checkpoint, ids, last)
    browser.press("ArrowLeft", windowsVirtualKeyCode=37)
    assert_shown(browser, checkpoint, ids[:-1], last - 1)
    browser.press("Home", windowsVirtualKeyCode=36)
    assert outlined(browser) == ["0", "0"]
    for _ in range(9):
        browser.press("ArrowRight", windowsVirtualKeyCode=39)
    assert outlined(browser) == ["9", "9"]
    assert_shown(browser, checkpoint, ids[:11], 9)
    assert browser.errors() == []


def test_line_breaks_are_shown_where_they_are_shaded_or_outlined(opened):
    browser = opened(attentive(REACH, text=TEXT), TEXT)
    focus(browser)
    for host in ("back-text", "unit-text"):
        classes, signs = browser.run(
            f"""(() => {{
              const spans = [...document.querySelectorAll("#{host} span")];
              const sign = (node) => getComputedStyle(node, "::before").content;
              return [spans.map((node) => node.className), spans.map(sign)];
            }})()"""
        )
        for character, kind, sign in zip(TEXT, classes, signs, strict=True):
            assert ("⏎" in sign) == (character == "\n" and kind != "")
        assert "⏎" in signs[-1]
        assert browser.run(f"document.querySelector('#{host}').textContent") == TEXT


def test_the_pointer_moves_the_outline_everywhere(opened):
    browser = opened(attentive(REACH, text=TEXT), TEXT, size=(1400, 1700))
    browser.run("document.querySelector('#paint div span:nth-child(6)').id = 'sixth'; 0")
    browser.point("#sixth")
    browser.until("document.querySelector('#back-text .here').dataset.at === '5'")
    assert outlined(browser) == ["5", "5"]
    browser.run("document.querySelectorAll('#back-text span')[11].id = 'twelfth'; 0")
    browser.point("#twelfth")
    assert outlined(browser) == ["11", "11"]
    label = browser.run("document.querySelector('#back-shares').ariaLabel")
    assert re.fullmatch(r"after u: ([\d.]+|< 0\.1)% of the attention is on the token itself", label)


def test_a_document_does_not_look_at_the_one_before_it(opened):
    checkpoint = attentive(REACH, text=TEXT, unit="line")
    browser = opened(checkpoint, "Good night\nWhat say you")
    ids = checkpoint.tokenizer.encode("What say you").tolist()
    focus(browser)
    last = len("Good night\nWhat say you") - 1
    assert_shown(browser, checkpoint, [END_OF_DOCUMENT, *ids], last)
    for _ in ids:
        browser.press("ArrowLeft", windowsVirtualKeyCode=37)
    assert_shown(browser, checkpoint, [END_OF_DOCUMENT], last - len(ids))


def test_a_long_text_reads_as_the_engine_reads_it(opened):
    text = TEXT * 40  # longer than the part that is looked into
    checkpoint = attentive(REACH, text=TEXT)
    browser = opened(checkpoint, text)
    browser.until("performance.getEntriesByName('read').length")
    config, weights = checkpoint.config.model, checkpoint.weights
    engine = build_engine(config, weights, precision="int8", threads=1)
    ids = checkpoint.tokenizer.encode_beginning(text)[np.newaxis]
    state = engine.initial_state(1)
    logs, _ = engine.log_probabilities(ids[:, :-1], ids[:, 1:], state)
    totals = browser.run("document.querySelector('#totals').textContent")
    bits = float(re.search(r"([\d.]+) bits per character", totals)[1])
    assert bits == pytest.approx(-logs.sum() / np.log(2) / len(text), abs=2e-3)
    # The last part is looked into.
    end = len(text)
    browser.run("document.querySelector('#text').focus();"
                f"document.querySelector('#text').setSelectionRange({end}, {end}); 0")  # fmt: skip
    browser.until("document.querySelector('#back-text .here').dataset.at === '1499'")
    focus(browser)
    browser.press("Home", windowsVirtualKeyCode=36)
    assert any(box.startswith("text before this part") for box in browser.run(SHOWN)[1])
    assert browser.errors() == []


def test_it_fits_a_phone(opened):
    for dark in (False, True):
        browser = opened(attentive(REACH, text=TEXT), TEXT * 3, size=(390, 844), dark=dark)
        assert browser.run("document.documentElement.scrollWidth") <= 390


def test_a_page_without_attention_has_no_such_part(browser, tmp_path):
    browser.open(shakespeare(tmp_path / "page.html", text=TEXT, prompt=None))
    browser.until("performance.getEntriesByName('looked').length")
    assert browser.run("getComputedStyle(document.querySelector('#back')).display") == "none"
    assert browser.errors() == []
