"""The page as a file: what it allows, what it escapes, how large it is."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from html.parser import HTMLParser

import pytest

from charlstm.checkpoint.reader import read_checkpoint
from charlstm.look.page import Content, build_page
from tests.look.helpers import ENGLISH, SHAKESPEARE

HOSTILE = "</script><script>alert(1)</script>&\"'<!--{{weights}}"


class Elements(HTMLParser):
    """Collects the elements of a page and the content of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.inline: dict[str, str] = {}
        self._open = ""
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._open = tag if tag in ("script", "style") else ""
        if self._open:
            self.inline[dict(attrs).get("id") or dict(attrs).get("type") or tag] = ""

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open:
            self.inline[list(self.inline)[-1]] += data
        self.text += data


def page(**changed):
    content = {"title": "a", "facts": "b", "card": [], "text": "", "prompt": None} | changed
    return build_page(read_checkpoint(SHAKESPEARE), Content(**content)).decode()


@pytest.fixture(scope="module")
def plain():
    return page()


def test_the_policy_forbids_all_but_the_inline_style_and_script(plain):
    elements = Elements(plain)
    (policy,) = (
        attributes["content"]
        for tag, attributes in elements.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"

    def source(content):
        return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"

    assert rules["script-src"] == f"{source(elements.inline['module'])} 'wasm-unsafe-eval'"
    assert rules["style-src"] == source(elements.inline["style"])
    assert rules["worker-src"] == "blob:"
    assert {"base-uri", "form-action"} < set(rules)
    assert not {"connect-src", "img-src", "font-src"} & set(rules)


def test_nothing_names_an_address(plain):
    elements = Elements(plain)
    assert not any({"src", "href", "action", "data"} & set(attrs) for _, attrs in elements.tags)
    without_weights = plain.replace(elements.inline["weights"], "")
    addresses = set(re.findall(r"https?://[^\s\"'`]+", without_weights))
    assert addresses == {"http://www.w3.org/2000/svg"}
    assert "url(" not in without_weights
    assert "@import" not in without_weights


def test_hostile_text_is_data():
    built = page(title=HOSTILE, facts=HOSTILE, text=HOSTILE, prompt=HOSTILE,
                 card=[(HOSTILE, {HOSTILE: HOSTILE}), ("b", [HOSTILE])])  # fmt: skip
    elements = Elements(built)
    assert [tag for tag, _ in elements.tags].count("script") == 4
    description = json.loads(elements.inline["description"])
    assert description["text"] == description["prompt"] == HOSTILE
    assert elements.text.count(HOSTILE) >= 5


def test_every_place_is_filled_and_modules_are_linked(plain):
    scripts = Elements(plain).inline
    assert not re.search(r"\{\{\w+\}\}", plain)
    for name in ("worker", "module"):
        assert not re.search(r"^(import|export)\b", scripts[name], re.MULTILINE)
        assert "</script" not in scripts[name]


def test_the_same_model_gives_the_same_bytes(plain):
    assert page() == plain


def test_a_page_of_two_layers_of_512_is_below_six_megabytes(plain):
    assert len(plain.encode()) < 6e6
    packed = zlib.decompress(base64.b64decode(Elements(plain).inline["weights"]))
    assert len(packed) > 3.2e6


def test_a_page_of_pieces_has_no_table_of_their_inputs():
    content = Content(title="a", facts="b", card=[], text="", prompt=None)
    assert len(build_page(read_checkpoint(ENGLISH), content)) < 6e6
