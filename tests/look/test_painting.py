"""The colored lines behind the text field: an edit gives what a new painting of the text gives."""

from __future__ import annotations

import json

import numpy as np

from charlstm.look.page import joined_modules

# Paint texts one after another, each in two parts, and return their lines and classes.
PAINT = """(() => {
  const painting = new Painting(document.createElement("div"));
  return %s.map(([text, fresh]) => {
    const one = fresh ? new Painting(document.createElement("div")) : painting;
    one.setText(text);
    const known = one.tokens.length;
    const tokens = [...text].map((c, i) => (
      { start: i, end: i + 1, kind: `s${c.charCodeAt(0) %% 7}` }));
    const half = known + ((tokens.length - known) >> 1);
    one.setTokens(known, tokens.slice(known, half));
    const early = one.host.textContent;
    one.setTokens(half, tokens.slice(half));
    const lines = one.lines.map(({ start, end, node }) => [start, end, node.outerHTML]);
    return [early, one.host.innerHTML, lines];
  });
})()"""  # fmt: skip


def edited(rng, text):
    """Return a text in which a random part is replaced by another."""
    start, end = sorted(rng.integers(0, len(text) + 1, 2))
    if rng.random() < 0.7:
        end = min(end, start + 2)
    return text[:start] + "".join(rng.choice([*"ab\n"], rng.integers(0, 4))) + text[end:]


def test_an_edited_text_is_painted_like_a_new_one(browser):
    browser.run(joined_modules("painting.js") + "\nglobalThis.Painting = Painting; 0")
    rng = np.random.default_rng(7)
    texts = ["", "a\n", "a\n", "", "\n", "a\nb\n\nc", "b\n\nc", "b\n\nc\n", ""]
    for _ in range(300):
        texts.append(edited(rng, texts[-1]))
    edits = browser.run(PAINT % json.dumps([[text, False] for text in texts]))
    fresh = browser.run(PAINT % json.dumps([[text, True] for text in texts]))
    for text, found, expected in zip(texts, edits, fresh, strict=True):
        assert found == expected, text
        assert found[0] == text.replace("\n", "")


def test_an_edit_at_the_top_draws_one_line(browser):
    browser.run(joined_modules("painting.js") + "\nglobalThis.Painting = Painting; 0")
    kept = browser.run("""(() => {
      const painting = new Painting(document.createElement("div"));
      const text = "one\\ntwo\\nthree";
      painting.setText(text);
      painting.setTokens(0, [...text].map((c, i) => ({ start: i, end: i + 1, kind: "s1" })));
      const before = [...painting.host.children];
      painting.setText("oxne\\ntwo\\nthree");
      const after = [...painting.host.children];
      return [before.map((node, i) => node === after[i]), after[1].children.length];
    })()""")
    assert kept == [[True, True, True], 4]
