"""The page in a browser: writing, reading, looking inside, by mouse and by keyboard."""

from __future__ import annotations

import json
import re

import pytest

from charlstm import load
from charlstm.checkpoint.reader import read_checkpoint
from tests.look.helpers import ENGLISH, SHAKESPEARE, page_of, shakespeare

pytestmark = pytest.mark.filterwarnings("ignore::charlstm.UnknownCharacterWarning")

TEXT = "ROMEO:\nWhat say you to my suit?\n\nJULIET:\nGood night, good night! (he said)\n"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def opened(browser, pages):
    """The page of the shipped model, with a text."""
    path = pages / "shakespeare.html"
    if not path.exists():
        shakespeare(path, text=TEXT, prompt=None)
    browser.open(path)
    browser.until("performance.getEntriesByName('looked').length")
    return browser


def text_of(browser, selector):
    return browser.run(f"document.querySelector({json.dumps(selector)}).textContent")


def set_value(browser, selector, value):
    browser.run(
        f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
        f"e.value = {json.dumps(value)}; e.dispatchEvent(new Event('input')); "
        "e.dispatchEvent(new Event('change')); })()"
    )


def read_again(browser, text):
    browser.run("performance.clearMarks('read'); 0")
    set_value(browser, "#text", text)
    browser.until("performance.getEntriesByName('read').length")


def written(browser, **settings):
    for name, value in settings.items():
        set_value(browser, f"#{name}", value)
    browser.run("document.querySelector('#write-note').textContent = '';"
                "document.querySelector('#start').click(); 0")  # fmt: skip
    browser.until("document.querySelector('#write-note').textContent")
    browser.until("new Promise((done) => requestAnimationFrame(() => done(true)))")
    return text_of(browser, "#written")


def test_there_is_no_error_and_no_request(opened):
    written(opened, prompt="ROMEO:", length=50)
    assert opened.errors() == []
    assert [url for url in opened.requests() if not url.startswith(("file:", "blob:null"))] == []
    blocked = opened.run(
        "new Promise((done) => { document.addEventListener('securitypolicyviolation', (event) => "
        "done(event.effectiveDirective)); fetch('https://example.org').catch(() => 0); })"
    )
    assert blocked == "connect-src"


def test_the_same_seed_gives_the_same_text(opened):
    first = written(opened, prompt="ROMEO:", length=60, seed=4)
    assert first.startswith("ROMEO:")
    assert len(first) == 66
    assert written(opened, prompt="ROMEO:", length=60, seed=4) == first
    assert written(opened, prompt="ROMEO:", length=60, seed=5) != first
    assert "60 characters" in text_of(opened, "#write-note")


def test_temperature_zero_takes_the_most_likely_tokens(opened):
    expected = load(SHAKESPEARE).generate("KING ", length=40, temperature=0, min_p=0)[0].text
    found = written(opened, prompt="KING ", length=40, temperature=0)
    assert found.removeprefix("KING ")[:30] == expected[:30]


def test_writing_is_the_same_while_a_text_is_read(opened):
    alone = written(opened, prompt="ROMEO:", length=200, seed=4)
    set_value(opened, "#text", TEXT * 30)
    opened.run("document.querySelector('#write-note').textContent = '';"
               "document.querySelector('#start').click(); 0")  # fmt: skip
    set_value(opened, "#text", TEXT * 31)
    opened.until("document.querySelector('#write-note').textContent")
    opened.until("new Promise((done) => requestAnimationFrame(() => done(true)))")
    assert text_of(opened, "#written") == alone


def test_typing_while_a_text_is_read_leaves_no_gap(opened):
    opened.run("performance.clearMarks('read'); 0")
    set_value(opened, "#text", TEXT * 40)
    for extra in range(1, 6):
        opened.run("new Promise((done) => setTimeout(done, 60))")
        set_value(opened, "#text", TEXT * 40 + "x" * extra)
    opened.until("performance.getEntriesByName('read').length")
    whole = text_of(opened, "#totals")
    pieces = opened.run("[...document.querySelectorAll('#paint div')].map((line) => "
                        "[...line.childNodes].every((node) => node.nodeType === 1))")  # fmt: skip
    assert all(pieces)
    read_again(opened, "")
    read_again(opened, TEXT * 40 + "xxxxx")
    assert text_of(opened, "#totals") == whole


def test_writing_can_be_stopped(opened):
    set_value(opened, "#length", 20000)
    opened.run("document.querySelector('#start').click(); 0")
    opened.until("document.querySelector('#written').textContent.length > 20")
    opened.run("document.querySelector('#start').click(); 0")
    assert text_of(opened, "#write-note") == "Stopped."
    length = len(text_of(opened, "#written"))
    opened.run("new Promise((done) => setTimeout(done, 150))")
    assert len(text_of(opened, "#written")) <= length + 200


def test_the_loss_is_that_of_score(opened):
    sample = load(SHAKESPEARE).generate("", length=1000, seed=3)[0].text[:1000]
    score = load(SHAKESPEARE).evaluate(texts=[sample])
    read_again(opened, sample)
    bits = float(re.search(r"([\d.]+) bits per character", text_of(opened, "#totals"))[1])
    assert bits == pytest.approx(score.bits_per_character, abs=1.5e-3)


def test_an_edited_text_reads_like_a_new_one(opened):
    longer = TEXT * 4
    read_again(opened, longer)
    read_again(opened, longer[:150] + "x" + longer[150:])
    edited = text_of(opened, "#totals")
    kinds = opened.run(
        "[...document.querySelectorAll('#paint span:not(.ghost)')].map((e) => e.className)"
    )
    read_again(opened, "")
    read_again(opened, longer[:150] + "x" + longer[150:])
    assert text_of(opened, "#totals") == edited
    again = opened.run(
        "[...document.querySelectorAll('#paint span:not(.ghost)')].map((e) => e.className)"
    )
    assert [k.replace(" here", "") for k in again] == [k.replace(" here", "") for k in kinds]


def test_the_painted_text_is_the_text(opened):
    opened.run("document.querySelector('.ghost')?.remove(); 0")
    lines = opened.run("[...document.querySelectorAll('#paint div')].map((e) => e.textContent)")
    assert "\n".join(lines) == TEXT
    assert opened.run("document.querySelector('#paint').offsetHeight") == pytest.approx(
        opened.run("document.querySelector('#text').offsetHeight"), abs=1
    )


def test_the_pointer_shows_what_was_likely(opened):
    opened.run("document.querySelector('#paint div span:nth-child(3)').id = 'third'; 0")
    opened.point("#third")
    opened.until("document.querySelectorAll('.alternative').length === 5")
    opened.until("document.querySelector('.alternative.chosen b').textContent === 'M'")
    shares = opened.run(
        "[...document.querySelectorAll('.bar i')].map((e) => parseFloat(e.style.width))"
    )
    assert all(0 <= share <= 100 for share in shares)
    assert sum(shares) <= 100.001


def test_the_cursor_shows_what_was_likely(opened):
    opened.run("document.querySelector('#text').focus();"
               "document.querySelector('#text').setSelectionRange(2, 2); 0")  # fmt: skip
    opened.until("document.querySelector('.alternative.chosen b')?.textContent === 'O'")
    opened.press("ArrowRight", windowsVirtualKeyCode=39)
    opened.until("document.querySelector('.alternative.chosen b')?.textContent === 'M'")


def test_tab_accepts_the_completion(opened):
    read_again(opened, "ROMEO:\nI will not sp")
    opened.run("(() => { const e = document.querySelector('#text'); e.focus();"
               "e.setSelectionRange(e.value.length, e.value.length); })()")  # fmt: skip
    opened.type("e")
    ghost = opened.until("document.querySelector('.ghost')?.textContent")
    opened.press("Tab", windowsVirtualKeyCode=9)
    opened.until(f"document.querySelector('#text').value.endsWith({json.dumps(ghost)})")
    opened.until("/saved/.test(document.querySelector('#totals').textContent)")
    assert f" {len(ghost) - 1} keystrokes saved" in text_of(opened, "#totals")
    assert opened.run("document.activeElement.id") == "text"


def test_escape_dismisses_the_completion(opened):
    opened.run("(() => { const e = document.querySelector('#text'); e.focus();"
               "e.value = 'ROMEO:\\nI will not spe'; e.setSelectionRange(99, 99);"
               "e.dispatchEvent(new Event('input')); })()")  # fmt: skip
    opened.until("Boolean(document.querySelector('.ghost'))")
    opened.press("Escape", windowsVirtualKeyCode=27)
    assert not opened.run("Boolean(document.querySelector('.ghost'))")


def test_units_are_ranked_and_named(opened):
    listed = opened.run(
        "[...document.querySelectorAll('#units div')].slice(0, 8).map((e) => e.textContent)"
    )
    assert any("heading or speaker" in each for each in listed)
    assert opened.run("document.querySelectorAll('#unit-text span').length") == len(TEXT)
    assert opened.run("document.querySelector('#strip path').getAttribute('d').length") > 100
    assert "forget gate" in text_of(opened, "#cell")


def test_units_are_chosen_by_keyboard(opened):
    opened.run("document.querySelector('#units').focus(); 0")
    before = opened.run("document.querySelector('#unit').value")
    opened.press("ArrowDown", windowsVirtualKeyCode=40)
    assert opened.run("document.querySelector('#unit').value") != before
    opened.run("document.querySelector('#unit-text').focus(); 0")
    cell = text_of(opened, "#cell")
    opened.press("ArrowLeft", windowsVirtualKeyCode=37)
    assert text_of(opened, "#cell") != cell
    for quantity in ("hidden", "input", "forget", "output", "candidate"):
        set_value(opened, "#quantity", quantity)
    set_value(opened, "#layer", 0)
    assert opened.errors() == []


def test_the_clearest_unit_is_chosen_at_first_and_the_cell_is_at_the_cursor(opened):
    first = text_of(opened, "#units div[aria-selected=true]")
    assert first == text_of(opened, "#unit-0")
    assert f"unit {opened.run('document.querySelector(`#unit`).value')}" in first
    set_value(opened, "#layer", 0)
    assert opened.run("document.querySelector('#unit-0').ariaSelected") == "true"
    assert opened.run("document.querySelector('#unit-text .here').dataset.at") == f"{len(TEXT) - 1}"
    assert "after ⏎" in text_of(opened, "#cell")
    assert "forget gate f 0." in opened.run("document.querySelector('#cell').ariaLabel")


def test_a_long_text_is_looked_into_before_its_end(opened):
    opened.run("performance.clearMarks('looked'); performance.clearMarks('read'); 0")
    set_value(opened, "#text", "One line of text.\n" * 2000)
    opened.until("performance.getEntriesByName('looked').length")
    assert opened.run("performance.getEntriesByName('read').length") == 0
    assert opened.run("document.querySelectorAll('#unit-text span').length") == 1500
    assert text_of(opened, "#unit-text").startswith("One line of text.\nOne line")
    assert opened.errors() == []


@pytest.mark.parametrize(
    ("name", "given", "used"),
    [
        ("length", "0", "1"),
        ("length", "12.4", "12"),
        ("length", "", "500"),
        ("temperature", "-1", "0"),
        ("temperature", "99", "5"),
        ("min-p", "1", "0.99"),
        ("seed", "-3", "0"),
        ("seed", "1e99", "4294967295"),
    ],
)
def test_numbers_out_of_range_are_brought_into_it(opened, name, given, used):
    settings = {"prompt": "", "length": "20", name: given}
    text = written(opened, **settings)
    assert opened.run(f"document.querySelector('#{name}').value") == used
    if name == "length":
        assert len(text) == int(used)


def focus_at_end(browser, text):
    read_again(browser, text)
    browser.run("(() => { const e = document.querySelector('#text');"
                "e.setSelectionRange(e.value.length, e.value.length); })()")  # fmt: skip
    browser.until("Boolean(document.querySelector('.ghost'))")


def test_tab_passes_through_a_text_that_it_came_to(opened):
    focus_at_end(opened, "ROMEO:\nI will not spe")
    opened.run("document.querySelector('#written').focus(); 0")
    opened.press("Tab", windowsVirtualKeyCode=9)
    assert opened.run("document.activeElement.id") == "text"
    opened.press("Tab", windowsVirtualKeyCode=9)
    assert opened.run("document.activeElement.id") == "accept"
    assert opened.run("document.querySelector('#text').value").endswith("not spe")


def test_an_accepted_completion_can_be_undone(opened):
    focus_at_end(opened, "ROMEO:\nI will not spe")
    opened.run("document.querySelector('#accept').click(); 0")
    opened.until("document.querySelector('#text').value.endsWith('speak')")
    opened.run("document.execCommand('undo'); 0")
    assert opened.run("document.querySelector('#text').value").endswith("not spe")


def test_every_control_shows_its_focus(opened):
    opened.run("document.querySelector('#prompt').focus(); 0")
    for _ in range(14):
        identity, color = opened.run(
            "(() => { const e = document.activeElement; const box = e.id === 'text' ? "
            "document.querySelector('#read-scroll') : e;"
            "return [e.id, getComputedStyle(box).outlineStyle]; })()"
        )
        assert color == "solid", identity
        opened.press("Tab", windowsVirtualKeyCode=9)


@pytest.mark.parametrize("name", ["shakespeare", "english", "words", "pieces"])
def test_the_completion_is_the_first_prediction(browser, tmp_path, name, request):
    shipped = {"shakespeare": SHAKESPEARE, "english": ENGLISH}
    folder = shipped.get(name) or request.getfixturevalue(name)
    browser.open(page_of(read_checkpoint(folder), tmp_path / "page.html", prompt=None))
    browser.until("performance.getEntriesByName('ready').length")
    model = load(folder)
    compared = 0
    for text in ("The qui", "She was so beau", "I have seen the ", "The brown f", "Good nig"):
        best = model.predict(text, top=1)[0]
        if best.probability < 0.1 or not best.append.strip().isalpha():
            continue
        browser.run("document.querySelector('#text').focus(); 0")
        read_again(browser, text)
        assert browser.until("document.querySelector('.ghost')?.textContent") == best.append, text
        compared += 1
    assert compared


def test_lines_begin_at_the_side_of_their_script(browser, pages):
    path = shakespeare(pages / "arabic.html", text="abc\nالسلام", prompt=None)
    browser.open(path)
    browser.until("performance.getEntriesByName('looked').length")
    left, right = browser.run(
        "[...document.querySelectorAll('#paint div')].map((line) => "
        "line.firstChild.getBoundingClientRect().x)"
    )
    assert left < right - 200


def test_a_printed_page_is_short(opened):
    opened.call("Emulation.setEmulatedMedia", media="print")
    height = opened.run("document.documentElement.scrollHeight")
    opened.call("Emulation.setEmulatedMedia", media="")
    assert height < 3000


def test_hostile_text_is_shown_as_text(browser, pages):
    hostile = (
        "<img src=x onerror=\"document.title='owned'\"></textarea>"
        "<script>document.title='owned'</script>"
    )
    path = shakespeare(pages / "hostile.html", text=hostile, prompt=hostile, title=hostile)
    browser.open(path)
    browser.until("performance.getEntriesByName('looked').length")
    assert browser.run("document.title") == hostile
    assert browser.run("document.querySelectorAll('img').length") == 0
    assert browser.run("document.querySelector('#text').value") == hostile
    assert browser.errors() == []


def test_the_page_fits_a_phone(browser, pages):
    path = shakespeare(pages / "phone.html", text=TEXT, prompt=None)
    for dark in (False, True):
        browser.open(path, size=(390, 844), dark=dark)
        browser.until("performance.getEntriesByName('looked').length")
        assert browser.run("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("name", ["english", "words", "pieces"])
def test_other_levels_read_as_score_does(browser, tmp_path, name, request):
    folder = ENGLISH if name == "english" else request.getfixturevalue(name)
    text = "The old house stood at the quick brown fox; it isn't xylophonic."
    path = page_of(read_checkpoint(folder), tmp_path / "page.html", text=text, prompt="The quick ")
    browser.open(path)
    browser.until("performance.getEntriesByName('looked').length")
    browser.until("document.querySelector('#write-note').textContent")
    assert text_of(browser, "#written").startswith("The quick ")
    (figures,) = load(folder).score(text)
    bits = float(re.search(r"([\d.]+) bits per character", text_of(browser, "#totals"))[1])
    assert bits == pytest.approx(figures.bits_per_character, abs=2e-3)
    assert browser.errors() == []


def test_each_line_is_a_document_of_a_model_trained_with_lines(browser, tmp_path, names):
    lines = ["anna", "emma", "", "xqzt"]
    text = "\n".join(lines)
    browser.open(page_of(read_checkpoint(names), tmp_path / "page.html", text=text, prompt=""))
    browser.until("performance.getEntriesByName('looked').length")
    browser.until("document.querySelector('#write-note').textContent")
    assert "\n" not in text_of(browser, "#written")
    assert "ended the text" in text_of(browser, "#write-note")
    bits = int(re.search(r"(\d+) bits[.]", text_of(browser, "#totals"))[1])
    scores = load(names).score("anna", "emma")
    last = load(names).score("xqzt", per_token=True)[0]
    expected = sum(-score.log_probability for score in scores)
    expected -= sum(token.log_probability for token in last.per_token[:-1])
    assert bits == pytest.approx(expected / 0.6931, abs=1)
    assert browser.errors() == []
