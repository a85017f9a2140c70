// The page: what the four parts show and ask of the worker.

const $ = (id) => document.getElementById(id);
const description = JSON.parse($("description").textContent);
const worker = new Worker(URL.createObjectURL(new Blob([$("worker").textContent])));
let requests = 0;
const newest = {};

function ask(kind, request = {}) {
  newest[kind] = ++requests;
  worker.postMessage({ kind, number: requests, ...request });
}

const answers = {
  ready() {
    $("status").textContent = "Runs in this page. Nothing leaves it.";
    for (const id of ["start", "again"]) $(id).disabled = false;
    performance.mark("ready");
    readSoon(0);
    if (description.prompt !== null) writeNow();
  },
  wrote, written, read, complete, alternatives, looked,
};
worker.onmessage = ({ data }) => {
  if (data.number !== undefined && newest[data.kindOfRequest ?? KIND_OF[data.kind]] !== data.number) return;
  answers[data.kind](data);
};
worker.onerror = (event) => {
  $("status").textContent = `The model could not start: ${event.message}`;
};
const KIND_OF = { wrote: "write", written: "write", read: "read", complete: "read", alternatives: "alternatives", looked: "look" };

// Write

let writing = false;

function writeNow() {
  const number = (id) => Number($(id).value);
  $("written").replaceChildren(span($("prompt").value, "given"));
  $("write-note").textContent = "";
  writing = true;
  $("start").textContent = "Stop";
  ask("write", {
    prompt: $("prompt").value,
    temperature: Math.max(0, number("temperature") || 0),
    minP: Math.min(0.99, Math.max(0, number("min-p") || 0)),
    seed: Math.max(0, Math.floor(number("seed") || 0)),
    length: Math.min(20000, Math.max(1, Math.floor(number("length") || 1))),
  });
}

function stopWriting(note) {
  writing = false;
  $("start").textContent = "Write";
  $("take").disabled = false;
  $("write-note").textContent = note;
}

let unwritten = [];

function wrote({ text, probability }) {
  unwritten.push([text, probability]);
  if (unwritten.length > 1) return;
  requestAnimationFrame(() => {
    const box = $("written");
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.append(...unwritten.map(([piece, p]) => {
      const made = span(piece);
      made.title = percent(p);
      return made;
    }));
    if (!performance.getEntriesByName("first text").length) performance.mark("first text");
    unwritten = [];
    if (atEnd) box.scrollTop = box.scrollHeight;
  });
}

function written({ reason, written: count, seconds }) {
  const speed = Math.round(count / Math.max(seconds, 0.001)).toLocaleString("en");
  const end = reason === "end" ? "The model ended the text." : "";
  if (!text.value) setText($("written").textContent);
  stopWriting(`${count.toLocaleString("en")} ${description.tokensAre}, ${speed} a second. ${end}`);
}

$("start").onclick = () => {
  if (!writing) return writeNow();
  worker.postMessage({ kind: "stop", what: "write" });
  newest.write = -1;
  stopWriting("Stopped.");
};
$("again").onclick = () => {
  $("seed").value = (Number($("seed").value) || 0) + 1;
  writeNow();
};
$("take").onclick = () => setText($("written").textContent);
$("prompt").onkeydown = (event) => {
  if (event.key === "Enter") writeNow();
};

// Read

const text = $("text");
let spans = []; // of each token: {start, end, bits, node}
let drawn = ""; // the text that `spans` belong to
let ghost = "";
let saved = 0;
let timer = 0;

function setText(value) {
  text.value = value;
  readSoon(0);
}

function readSoon(delay = 30) {
  ghost = "";
  $("paint").querySelector(".ghost")?.remove();
  repaintChanged();
  clearTimeout(timer);
  timer = setTimeout(() => ask("read", { text: text.value, shown: firstShown() }), delay);
}

// The index of the first character on the screen.
function firstShown() {
  const box = $("read-scroll");
  if (!box.scrollTop) return 0;
  const top = box.getBoundingClientRect().top;
  let low = 0, high = spans.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle].node.getBoundingClientRect().bottom < top) low = middle + 1;
    else high = middle;
  }
  return spans[low]?.start ?? 0;
}

// Keep the colors of what did not change at the beginning; the rest is plain until it is read.
function repaintChanged() {
  const now = text.value;
  let same = 0;
  while (same < now.length && same < drawn.length && now[same] === drawn[same]) same++;
  while (spans.length && spans.at(-1).end > same) spans.pop().node.remove();
  for (const node of [...$("paint").childNodes].slice(spans.length)) node.remove();
  const end = spans.at(-1)?.end ?? 0;
  $("paint").append(document.createTextNode(now.slice(end) + "\n"));
  drawn = now;
}

function read({ from, to, surprisals, starts, lengths, glance, ends, total }) {
  if (glance) return paintGlance(surprisals, starts, lengths);
  const paint = $("paint");
  while (spans.length > from) spans.pop().node.remove();
  for (const node of [...paint.childNodes].slice(from)) node.remove();
  const ending = new Set(ends);
  const made = [];
  for (let i = 0; i < to - from; i++) {
    const piece = drawn.slice(starts[i], starts[i] + lengths[i]);
    const node = span(piece, `s${level(surprisals[i])}`);
    made.push(node);
    spans.push({ start: starts[i], end: starts[i] + lengths[i], bits: surprisals[i], node, isEnd: ending.has(from + i) });
  }
  const end = spans.at(-1)?.end ?? 0;
  paint.append(...made, document.createTextNode(drawn.slice(end) + "\n"));
  let bits = 0;
  for (const each of spans) bits += each.bits;
  const characters = [...drawn.slice(0, end)].length;
  const share = to < total ? `${Math.round((100 * to) / total)} % read. ` : "";
  $("totals").textContent = characters
    ? `${share}${(bits / characters).toFixed(3)} bits per character, ${characters.toLocaleString("en")} characters, ${Math.round(bits).toLocaleString("en")} bits.${saved ? ` ${saved} keystrokes saved.` : ""}`
    : "";
  if (to >= total) performance.mark("read");
}

// Colors for the part on the screen, before the text before it has been read.
function paintGlance(surprisals, starts, lengths) {
  const paint = $("paint");
  const last = paint.lastChild;
  const base = drawn.length + 1 - last.textContent.length;
  if (last.nodeType !== Node.TEXT_NODE || !starts.length || starts[0] < base) return;
  const begin = starts[0] - base;
  const made = Array.from(starts, (start, i) => span(drawn.slice(start, start + lengths[i]), `s${level(surprisals[i])}`));
  const stop = starts.at(-1) + lengths.at(-1) - base;
  last.replaceWith(last.textContent.slice(0, begin), ...made, document.createTextNode(last.textContent.slice(stop)));
}

function level(bits) {
  return bits < 0.5 ? 0 : bits < 1.2 ? 1 : bits < 2.2 ? 2 : bits < 3.5 ? 3 : bits < 5.5 ? 4 : bits < 8.5 ? 5 : 6;
}

function complete({ completion }) {
  if (completion && text.selectionStart === text.value.length && text.value === drawn) {
    ghost = completion;
    $("paint").lastChild.before(span(completion, "ghost"));
  }
  showAlternatives();
  lookSoon();
}

text.oninput = () => readSoon();
text.onkeydown = (event) => {
  if (event.key !== "Tab" || event.shiftKey || !ghost) return;
  event.preventDefault();
  saved += [...ghost].length - 1;
  text.setRangeText(ghost, text.value.length, text.value.length, "end");
  readSoon(0);
};
document.addEventListener("selectionchange", () => {
  if (document.activeElement === text) showAlternatives();
});
text.onmousemove = (event) => {
  const node = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.parentNode === $("paint"));
  const at = spans.findIndex((each) => each.node === node);
  if (at >= 0) point(at);
};
text.onmouseleave = () => showAlternatives();

// Return the token at an index of the text, by bisection; the last one that begins before it.
function tokenAt(index) {
  let low = 0, high = spans.length - 1, found = -1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (spans[middle].start <= index) {
      found = middle;
      low = middle + 1;
    } else high = middle - 1;
  }
  return found;
}

function showAlternatives() {
  if (!spans.length) return $("alternatives").replaceChildren();
  point(tokenAt(Math.max(0, text.selectionStart - 1)));
}

let pointed = -1;

function point(at) {
  if (at < 0 || !spans[at]) return;
  spans[pointed]?.node.classList.remove("here");
  spans[at].node.classList.add("here");
  pointed = at;
  ask("alternatives", { at, count: 5 });
  showCell(spans[at].start);
}

function alternatives({ found }) {
  if (!found) return;
  const list = found.list.some((each) => each.chosen) ? found.list : [...found.list.slice(0, 4), found.own];
  $("alternatives").replaceChildren(...list.map((each) => {
    const box = document.createElement("div");
    box.className = each.chosen ? "alternative chosen" : "alternative";
    const name = document.createElement("b");
    name.textContent = shown(each.text, each.id);
    const bar = document.createElement("div");
    bar.className = "bar";
    const fill = document.createElement("i");
    fill.style.width = `${100 * each.probability}%`;
    bar.append(fill);
    box.append(name, percent(each.probability), bar);
    return box;
  }));
}

function shown(piece, id) {
  if (id === 0) return "end";
  if (id === 1) return "unknown";
  if (!piece) return "spelling";
  return piece.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replace(/^ | $/g, "␣");
}

function percent(p) {
  return p >= 0.9995 ? "100 %" : p >= 0.001 ? `${(100 * p).toFixed(1)} %` : "< 0.1 %";
}

// Look inside

let seen = null; // the last answer about units
let layer = description.model.layers - 1, unit = -1;
const quantity = $("quantity");

for (let i = 0; i < description.model.layers; i++) $("layer").append(new Option(`${i + 1}`, i, i === layer, i === layer));
$("unit").max = description.model.units - 1;

let lookTimer = 0;
function lookSoon() {
  clearTimeout(lookTimer);
  lookTimer = setTimeout(() => ask("look", { around: text.selectionStart, layer }), 250);
}

function looked(answer) {
  seen = answer;
  performance.mark("looked");
  listUnits();
}

function listUnits() {
  if (!seen) return;
  const ranked = seen.ranked[layer];
  $("units").replaceChildren(...ranked.map((each, index) => {
    const row = document.createElement("div");
    row.role = "option";
    row.id = `unit-${index}`;
    const strength = document.createElement("span");
    strength.textContent = `unit ${each.unit}  ${each.correlation < 0 ? "−" : ""}${Math.abs(each.correlation).toFixed(2)}`;
    row.append(each.feature, strength);
    row.onclick = () => chooseUnit(each.unit);
    return row;
  }));
  const known = ranked.some((each) => each.unit === unit);
  chooseUnit(unit >= 0 && (known || unitIsChosen) ? unit : ranked[0]?.unit ?? 0, false);
}

let unitIsChosen = false;

function chooseUnit(number, isChosen = true) {
  unit = Math.min(Math.max(0, number), description.model.units - 1);
  unitIsChosen ||= isChosen;
  $("unit").value = unit;
  seen?.ranked[layer].forEach((each, index) => {
    const row = $(`unit-${index}`);
    row.ariaSelected = each.unit === unit;
    if (each.unit === unit) $("units").setAttribute("aria-activedescendant", row.id);
  });
  drawUnit();
}

$("layer").onchange = () => {
  layer = Number($("layer").value);
  unit = -1;
  unitIsChosen = false;
  listUnits();
};
$("unit").oninput = () => chooseUnit(Math.floor(Number($("unit").value)) || 0);
quantity.onchange = drawUnit;
$("units").onkeydown = (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
  if (!step || !seen) return;
  event.preventDefault();
  const ranked = seen.ranked[layer];
  const at = ranked.findIndex((each) => each.unit === unit);
  const next = ranked[Math.min(ranked.length - 1, Math.max(0, at + step))];
  chooseUnit(next.unit);
  $(`unit-${ranked.indexOf(next)}`).scrollIntoView({ block: "nearest" });
};

// The value of a quantity at a token, from -1 to 1; gates are from 0 to 1.
function valueAt(name, t) {
  const value = seen.values[name][t * seen.width + layer * description.model.units + unit];
  return name === "cell" ? Math.tanh(value) : value;
}

let unitSpans = [], cursor = 0;

function drawUnit() {
  if (!seen || unit < 0) return;
  const count = seen.tokens.length;
  unitSpans = seen.tokens.map((token, t) => {
    const value = valueAt(quantity.value, t);
    const size = Math.abs(value);
    const node = span(token, size < 0.08 ? "" : `${value < 0 ? "n" : "p"}${size < 0.35 ? 1 : size < 0.7 ? 2 : 3}`);
    node.dataset.at = t;
    return node;
  });
  $("unit-text").replaceChildren(...unitSpans);
  const points = Array.from({ length: count }, (_, t) => `${t ? "L" : "M"}${t} ${(1 - valueAt(quantity.value, t)).toFixed(3)}`);
  const strip = $("strip");
  strip.setAttribute("viewBox", `0 -0.05 ${Math.max(1, count - 1)} 2.1`);
  strip.replaceChildren(svg("line", { x1: 0, x2: count, y1: 1, y2: 1 }), svg("path", { d: points.join("") }), svg("line", { class: "now", y1: -1, y2: 3 }));
  moveTo(Math.min(cursor, count - 1));
}

$("unit-text").onmousemove = (event) => {
  const at = event.target.dataset?.at;
  if (at !== undefined) moveTo(Number(at));
};
$("unit-text").onkeydown = (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20 }[event.key];
  if (!step) return;
  event.preventDefault();
  moveTo(Math.min(unitSpans.length - 1, Math.max(0, cursor + step)));
  unitSpans[cursor]?.scrollIntoView({ block: "nearest" });
};
$("strip").onmousemove = (event) => {
  const box = $("strip").getBoundingClientRect();
  moveTo(Math.round(((event.clientX - box.left) / box.width) * (unitSpans.length - 1)));
};

function moveTo(t) {
  if (!seen || !unitSpans.length || t < 0) return;
  unitSpans[cursor]?.classList.remove("here");
  cursor = Math.min(t, unitSpans.length - 1);
  unitSpans[cursor].classList.add("here");
  const line = $("strip").querySelector(".now");
  line?.setAttribute("x1", cursor);
  line?.setAttribute("x2", cursor);
  drawCell(cursor);
}

// Show the cell at the token that begins at an index of the text.
function showCell(start) {
  if (!seen) return;
  const t = seen.starts.indexOf(start);
  if (t >= 0) moveTo(t);
}

function drawCell(t) {
  const cell = seen.values.cell, at = (n) => n * seen.width + layer * description.model.units + unit;
  const before = t > 0 ? cell[at(t - 1)] : 0;
  const value = (name) => seen.values[name][at(t)];
  const rows = [
    ["forget gate f", value("forget"), "how much of the old cell state is kept"],
    ["input gate i", value("input"), "how much of the candidate is added"],
    ["candidate g", value("candidate"), "what could be added"],
    ["output gate o", value("output"), "how much of the cell is shown"],
  ];
  const parts = [svg("title", {}, `The cell of layer ${layer + 1}, unit ${unit}`), label(0, 12, `after ${JSON.stringify(seen.tokens[t])}: layer ${layer + 1}, unit ${unit}`)];
  rows.forEach(([name, number, meaning], index) => {
    const y = 26 + index * 38;
    parts.push(label(0, y + 10, name), label(296, y + 10, number.toFixed(3), "v", "end"), label(0, y + 31, meaning, "q"));
    parts.push(...bar(y + 14, number, name.startsWith("candidate")));
  });
  const now = value("cell");
  parts.push(label(0, 192, `c = f·c₋₁ + i·g = ${before.toFixed(2)}·${value("forget").toFixed(2)} + ${(value("input") * value("candidate")).toFixed(2)} = ${now.toFixed(2)}`, "v"));
  parts.push(label(0, 212, `h = o·tanh(c) = ${value("hidden").toFixed(3)}`, "v"));
  $("cell").replaceChildren(...parts);
}

function bar(y, value, isSigned) {
  const width = isSigned ? Math.abs(value) * 148 : value * 296;
  const x = isSigned ? (value < 0 ? 148 - width : 148) : 0;
  return [svg("rect", { class: "slot", x: 0, y, width: 296, height: 6, rx: 3 }), svg("rect", { class: value < 0 ? "minus" : "plus", x, y, width, height: 6, rx: 3 })];
}

function label(x, y, content, kind = "", anchor = "start") {
  return svg("text", { x, y, class: kind, "text-anchor": anchor }, content);
}

function svg(name, attributes, content) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (content !== undefined) node.textContent = content;
  return node;
}

function span(content, kind) {
  const node = document.createElement("span");
  if (kind) node.className = kind;
  node.textContent = content;
  return node;
}

// Start

$("prompt").value = description.prompt ?? "";
text.value = description.text;
repaintChanged();
const bytes = Uint8Array.from(atob($("weights").textContent), (character) => character.charCodeAt(0));
worker.postMessage({ kind: "load", bytes, description }, [bytes.buffer]);
