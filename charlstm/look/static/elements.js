// Elements of the page, and how it shows tokens and numbers.

const $ = (id) => document.getElementById(id);

function span(content, kind) {
  const node = document.createElement("span");
  if (kind) node.className = kind;
  node.textContent = content;
  return node;
}

// Token `t` of a text. The style sheet shows a sign for a line break that is colored or outlined.
function tokenSpan(token, t, kind) {
  const node = span(token, kind);
  node.dataset.at = t;
  if (token.includes("\n")) node.dataset.breaks = "";
  return node;
}

function svg(name, attributes, content) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (content !== undefined) node.textContent = content;
  return node;
}

// A share from 0 to 1 with its bar, below what it is the share of: texts or nodes.
function shareBox(share, ...names) {
  const box = document.createElement("div");
  box.className = "alternative";
  const bar = document.createElement("div");
  bar.className = "bar";
  const fill = document.createElement("i");
  fill.style.width = `${100 * share}%`;
  bar.append(fill);
  box.append(...names, percent(share), bar);
  return box;
}

function bold(content) {
  const node = document.createElement("b");
  node.textContent = content;
  return node;
}

// A piece with signs for what can't be seen: spaces at its ends, line ends, joiners, controls.
function visible(piece) {
  return piece.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "␣")
    .replace(/^(?=\p{M})/u, "◌")
    .replace(/^[\p{C}\p{Z}\ufe00-\ufe0f]+$/u, (hidden) => (
      [...hidden].map((c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`).join(" ")));
}

function percent(p) {
  return p >= 0.9995 ? "100%" : p >= 0.001 ? `${(100 * p).toFixed(1)}%` : "< 0.1%";
}

// A number with a real minus sign.
function signed(value, digits) {
  return value.toFixed(digits).replace(/^-(?=.*[1-9])/, "−").replace(/^-/, "");
}

export { $, bold, percent, shareBox, signed, span, svg, tokenSpan, visible };
