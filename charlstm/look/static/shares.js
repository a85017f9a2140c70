// Where the attention looks from a token: the text, shaded by shares, and the largest of them.

import { $, bold, percent, shareBox, span, tokenSpan, visible } from "./elements.js";

const SHADES = [0.003, 0.01, 0.03, 0.1, 0.3]; // the smallest share of each shade
const MOST_LISTED = 5; // earlier tokens
const LEAST = 0.001; // the smallest share of other places in the list
const AROUND = 12; // characters shown on each side of a listed token

// Return the shares of the attention after token `t`: `own` of the token itself, `earlier`
// [[token, share], ...] of those before it, `start` of the start of its document, and `before` of
// tokens before the part of the text that is known.
// `shares`: [tokens, N], the latest token first. `firsts`: the first token of each one's document.
function sharesAt({ values: { shares }, firsts, tokens }, t) {
  const reach = shares.length / tokens.length;
  const found = { own: shares[t * reach], earlier: [], start: 0, before: 0 };
  for (let back = 1; back < reach && t - back >= firsts[t] - 1; back++) {
    const share = shares[t * reach + back], at = t - back;
    if (at < firsts[t]) found.start = share;
    else if (at < 0) found.before += share;
    else found.earlier.push([at, share]);
  }
  return found;
}

class SharesView {
  // `reach`: the number of tokens that the model looks at, `tokensAre` what they are.
  constructor(reach, tokensAre) {
    $("back").hidden = false;
    $("back-hint").textContent = "To predict what follows the outlined token, the model looks back at"
      + ` that token and those before it, at most ${reach.toLocaleString("en")} ${tokensAre}.`
      + " The stronger the color, the more it looks there."
      + " The pointer or the arrow keys move the outline.";
    $("back-legend").append(span("share of at least"), ...SHADES.flatMap((share, i) => {
      const sample = document.createElement("i");
      sample.className = `a${i + 1}`;
      return [sample, span(`${100 * share}%`)];
    }));
    this.spans = [];
  }

  // Show the text of an answer of the worker about the units.
  show(seen) {
    this.seen = seen;
    this.spans = seen.tokens.map((token, t) => tokenSpan(token, t));
    this.shaded = [];
    $("back-text").replaceChildren(...this.spans);
    $("back-shares").replaceChildren();
  }

  moveTo(t) {
    for (const node of this.shaded) node.className = "";
    const found = sharesAt(this.seen, t);
    const all = [[t, found.own], ...found.earlier];
    for (const [at, share] of all) this.spans[at].className = shade(share);
    this.shaded = all.map(([at]) => this.spans[at]);
    this.spans[t].classList.add("here");
    this._list(t, found);
  }

  _list(t, { own, earlier, start, before }) {
    const boxes = [shareBox(own, bold("the outlined token itself"))];
    if (start >= LEAST) boxes.push(shareBox(start, bold("the start of the document")));
    if (before >= LEAST) boxes.push(shareBox(before, bold("text before this part")));
    const largest = earlier.sort((a, b) => b[1] - a[1]).slice(0, MOST_LISTED);
    for (const [at, share] of largest) {
      const place = document.createElement("div");
      place.className = "place";
      place.append(...this._around(at), span(`${(t - at).toLocaleString("en")} back`, "far"));
      boxes.push(shareBox(share, place));
    }
    boxes[0].classList.add("chosen");
    $("back-shares").setAttribute("aria-label", `after ${visible(this.seen.tokens[t])}: `
      + `${percent(own)} of the attention is on the token itself`);
    $("back-shares").replaceChildren(...boxes);
  }

  // A token in bold, between the ends of the text around it.
  _around(at) {
    const { tokens } = this.seen;
    const left = tokens.slice(Math.max(0, at - AROUND), at).join("");
    const right = tokens.slice(at + 1, at + 1 + AROUND).join("");
    const shown = (text) => text.replaceAll("\n", "⏎").replaceAll("\t", "⇥");
    return [
      span(shown([...left].slice(-AROUND).join("")), "left"),
      bold(visible(tokens[at])),
      span(shown([...right].slice(0, AROUND).join(""))),
    ];
  }
}

// The class of a share, "" if it is too small for a color.
function shade(share) {
  let found = 0;
  while (found < SHADES.length && share >= SHADES[found]) found++;
  return found ? `a${found}` : "";
}

export { SharesView };
