// The page: what its parts show and ask of the worker.

import { $, bold, percent, shareBox, signed, span, svg, tokenSpan, visible } from "./elements.js";
import { Painting } from "./painting.js";
import { SharesView } from "./shares.js";

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
  failed({ message }) {
    const reason = message ? `: ${message}` : "";
    $("status").textContent = `The model failed${reason}. A current browser is needed.`;
  },
  wrote, written, read, complete, alternatives, looked,
};
worker.onmessage = ({ data }) => {
  if (data.number !== undefined && newest[KIND_OF[data.kind]] !== data.number) return;
  answers[data.kind](data);
};
worker.onerror = ({ message }) => answers.failed({ message });
const KIND_OF = { wrote: "write", written: "write", read: "read", complete: "read", alternatives: "alternatives", looked: "look" };

// Write

let writing = false;
let wholeText = ""; // the prompt and all that was written

// The number in a field, brought into its range; its default if there is none.
function number(id) {
  const field = $(id);
  const given = field.value.trim() === "" ? NaN : Number(field.value);
  let value = Number.isFinite(given) ? given : Number(field.defaultValue);
  value = Math.min(Number(field.max), Math.max(Number(field.min), value));
  if (field.step === "1") value = Math.round(value);
  if (value !== given) field.value = value;
  return value;
}

function writeNow() {
  if ($("start").disabled) return;
  $("written").replaceChildren(span($("prompt").value, "given"));
  $("write-note").textContent = "";
  writing = true;
  unwritten = [];
  wholeText = $("prompt").value;
  $("start").textContent = "Stop";
  ask("write", {
    prompt: $("prompt").value,
    temperature: number("temperature"),
    minP: number("min-p"),
    seed: number("seed"),
    length: number("length"),
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
  wholeText += text;
  unwritten.push([text, probability]);
  if (unwritten.length > 1) return;
  requestAnimationFrame(() => {
    const box = $("written");
    const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
    box.append(...unwritten.map(([piece, p]) => {
      const made = span(piece);
      made.probability = p;
      return made;
    }));
    if (!performance.getEntriesByName("first text").length) performance.mark("first text");
    unwritten = [];
    if (atEnd) box.scrollTop = box.scrollHeight;
  });
}

$("written").onmouseover = ({ target }) => {
  if (target.probability !== undefined) target.title = percent(target.probability);
};

function written({ reason, written: count, seconds }) {
  const speed = Math.round(count / Math.max(seconds, 0.001)).toLocaleString("en");
  const end = reason === "end" ? " The model ended the text." : "";
  if (!text.value) setText(wholeText);
  stopWriting(`${count.toLocaleString("en")} ${description.tokensAre}, ${speed} a second.${end}`);
}

$("start").onclick = () => {
  if (!writing) return writeNow();
  worker.postMessage({ kind: "stop", what: "write" });
  newest.write = -1;
  stopWriting("Stopped.");
};
$("again").onclick = () => {
  $("seed").value = (number("seed") + 1) % 2 ** 32;
  writeNow();
};
$("take").onclick = () => setText(wholeText);
$("prompt").onkeydown = (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  writeNow();
};

// Read

const text = $("text");
const painting = new Painting($("paint"));
let ghost = "", ghostNode = null;
let saved = 0;
let timer = 0, lookTimer = 0;

function setText(value) {
  text.value = value;
  readSoon(0);
}

function readSoon(delay = 30) {
  newest.read = newest.look = -1; // older answers are about another text
  lookedAt = -1;
  if (seen) seen.isOld = true;
  clearTimeout(timer);
  clearTimeout(lookTimer);
  compose();
  showGhost("");
  painting.setText(text.value);
  unpainted = [];
  timer = setTimeout(() => {
    ask("read", { text: text.value, shown: firstShown(), known: painting.tokens.length });
  }, delay);
}

// Let a model that composes all text see what is in the field: its places are those of the tokens.
function compose() {
  if (description.normalize !== "nfc" || isComposing) return;
  const composed = text.value.normalize("NFC");
  if (composed === text.value) return;
  const caret = text.value.slice(0, text.selectionStart).normalize("NFC").length;
  text.value = composed;
  text.setSelectionRange(caret, caret);
}

let isComposing = false;
text.addEventListener("compositionstart", () => (isComposing = true));
text.addEventListener("compositionend", () => {
  isComposing = false;
  readSoon();
});

// The index of the first character on the screen.
function firstShown() {
  const box = $("read-scroll");
  return box.scrollTop ? painting.indexAt(box.getBoundingClientRect().top) : 0;
}

let unpainted = []; // tokens that were read
let paintFrom = 0, paintAt = 0; // the number of the first of them, and when to paint

function read({ from, to, surprisals, starts, lengths, glance, total, bits }) {
  const tokens = Array.from(starts, (start, i) => (
    { start, end: start + lengths[i], kind: `s${level(surprisals[i])}` }));
  if (glance) return painting.glance(tokens);
  if (!unpainted.length) paintFrom = from;
  unpainted = unpainted.concat(tokens);
  // A line of many thousand characters takes long to lay out, so painting gets a third of the time.
  const begin = performance.now();
  if (begin < paintAt && to < total && unpainted.length < 1000) return;
  painting.setTokens(paintFrom, unpainted);
  unpainted = [];
  paintAt = Infinity;
  requestAnimationFrame(() => setTimeout(() => (paintAt = 3 * performance.now() - 2 * begin)));
  const end = painting.tokens.at(-1)?.end ?? 0;
  const characters = [...painting.text.slice(0, end)].length;
  const grouped = (value) => value.toLocaleString("en");
  $("totals").textContent = [
    ...(to < total ? [`${Math.floor((100 * to) / total)}% read.`] : []),
    ...(characters ? [`${(bits / characters).toFixed(3)} bits per character, ${grouped(characters)} characters, ${grouped(Math.round(bits))} bits.`] : []),
    ...(saved ? [`${grouped(saved)} keystrokes saved.`] : []),
  ].join(" ");
  if (to >= total) performance.mark("read");
  else if (lookedAt < 0 && to >= FIRST_LOOK) lookSoon(); // a long text is looked into before its end
}

// The strength of a color, from 0 to 6. Tokens of several characters are more surprising each.
const STEPS = [0.5, 1.2, 2.2, 3.5, 5.5, 8.5].map((bits) => bits * (description.level === "char" ? 1 : 1.8));

function level(bits) {
  let found = 0;
  while (found < STEPS.length && bits >= STEPS[found]) found++;
  return found;
}

function complete({ completion }) {
  showGhost(text.selectionStart === text.value.length ? completion : "");
  showAlternatives();
  lookSoon();
}

// Show the completion in gray after the text, and on a button for those without a Tab key.
function showGhost(completion) {
  ghost = completion;
  ghostNode?.remove();
  ghostNode = ghost ? span(ghost, "ghost") : null;
  if (ghost) painting.append(ghostNode);
  $("accept").classList.toggle("away", !ghost); // it keeps its place, so that nothing moves
  if (ghost) $("accept").textContent = `Add “${ghost.trim()}”`;
}

// Whether Tab brought the focus to the text and nothing was done there yet. Then Tab leaves it.
let isPassing = false, isTab = false;
document.addEventListener("keydown", (event) => (isTab = event.key === "Tab"), true);
document.addEventListener("pointerdown", () => (isTab = isPassing = false), true);
text.onfocus = () => (isPassing = isTab);

text.oninput = () => {
  isPassing = false;
  readSoon();
};
text.onkeydown = (event) => {
  if (event.key === "Escape") showGhost(""); // then Tab leaves the field
  if (event.key !== "Tab") {
    if (event.key !== "Shift") isPassing = false;
    return;
  }
  const isAtEnd = text.selectionStart === text.value.length;
  if (event.shiftKey || event.isComposing || isPassing || !ghost || !isAtEnd) return;
  event.preventDefault();
  accept();
};
$("accept").onclick = accept;

function accept() {
  const added = ghost, end = text.value.length;
  saved += [...added].length - 1;
  text.focus();
  text.setSelectionRange(end, end);
  // This command can be undone by Ctrl+Z, other changes by a script can't.
  if (document.execCommand("insertText", false, added)) return;
  text.setRangeText(added, end, end, "end");
  readSoon(0);
}
document.addEventListener("selectionchange", () => {
  if (document.activeElement === text) showAlternatives();
});
text.onmousemove = (event) => {
  const under = document.elementsFromPoint(event.clientX, event.clientY).find((each) => each.token);
  if (under) point(painting.tokens.indexOf(under.token));
};
text.onmouseleave = () => showAlternatives();

function showAlternatives() {
  if (!painting.tokens.length) {
    pointed = null;
    return $("alternatives").replaceChildren();
  }
  point(painting.tokenAt(Math.max(0, text.selectionStart - 1)));
}

let pointed = null;

function point(at) {
  const token = painting.tokens[at];
  if (!token || (token === pointed && token.node.isConnected)) return;
  pointed?.node.classList.remove("here");
  token.node.classList.add("here");
  pointed = token;
  ask("alternatives", { at, count: 5 });
  showCell();
}

function alternatives({ found }) {
  if (!found) return;
  $("alternatives").replaceChildren(...found.map((each) => {
    const box = shareBox(each.probability, bold(shown(each.text, each.id)));
    if (each.isChosen) box.classList.add("chosen");
    return box;
  }));
}

function shown(piece, id) {
  if (id === 0) return "end";
  if (id === 1) return "unknown";
  if (!piece) return "spelling";
  return visible(piece);
}

// Look inside

let seen = null; // the last answer about units
let layer = description.model.layers - 1, unit = -1;
let unitIsChosen = false;
let lookedAt = -1; // the index of the text that was last asked about, -1 after a change
const FIRST_LOOK = 1500; // tokens
const quantity = $("quantity");
const { attention } = description.model;
const sharesView = attention ? new SharesView(attention, description.tokensAre) : null;

for (let i = 0; i < description.model.layers; i++) $("layer").append(new Option(`${i + 1}`, i, i === layer, i === layer));
$("unit").max = description.model.units - 1;

function lookSoon(around = text.selectionStart) {
  clearTimeout(lookTimer);
  lookedAt = around;
  lookTimer = setTimeout(() => ask("look", { around }), 250);
}

function looked(answer) {
  seen = answer;
  sharesView?.show(seen);
  listUnits();
  if (!answer.tokens.length) return;
  if (seen.starts.includes(pointed?.start)) showCell();
  performance.mark("looked");
}

function listUnits() {
  if (!seen) return;
  const ranked = seen.ranked[layer];
  $("units").replaceChildren(...ranked.map((each, index) => {
    const row = document.createElement("div");
    row.setAttribute("role", "option");
    row.id = `unit-${index}`;
    row.append(each.feature, span(`unit ${each.unit}`), span(signed(each.correlation, 2)));
    row.onclick = () => chooseUnit(each.unit);
    return row;
  }));
  chooseUnit(unitIsChosen ? unit : ranked[0]?.unit ?? 0, false);
}

function chooseUnit(number, isChosen = true) {
  unit = Math.min(Math.max(0, number), description.model.units - 1);
  unitIsChosen ||= isChosen;
  $("unit").value = unit;
  seen?.ranked[layer].forEach((each, index) => {
    const row = $(`unit-${index}`);
    row.setAttribute("aria-selected", each.unit === unit);
    if (each.unit === unit) $("units").setAttribute("aria-activedescendant", row.id);
  });
  drawUnit();
}

$("layer").onchange = () => {
  layer = Number($("layer").value);
  unitIsChosen = false;
  listUnits();
};
$("unit").oninput = () => {
  if ($("unit").value !== "" && $("unit").checkValidity()) chooseUnit(Number($("unit").value));
};
$("unit").onchange = () => chooseUnit(number("unit"));
quantity.onchange = drawUnit;
$("units").onkeydown = (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }[event.key];
  const ranked = seen?.ranked[layer] ?? [];
  if (!step || !ranked.length) return;
  event.preventDefault();
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
  if (!count) {
    unitSpans = [];
    for (const id of ["unit-text", "strip", "cell"]) $(id).replaceChildren();
    return;
  }
  unitSpans = seen.tokens.map((token, t) => {
    const value = valueAt(quantity.value, t);
    const size = Math.abs(value);
    return tokenSpan(token, t, size < 0.08 ? "" : `${value < 0 ? "n" : "p"}${size < 0.35 ? 1 : size < 0.7 ? 2 : 3}`);
  });
  $("unit-text").replaceChildren(...unitSpans);
  const points = Array.from({ length: count }, (_, t) => `${t ? "L" : "M"}${t} ${(1 - valueAt(quantity.value, t)).toFixed(3)}`);
  const strip = $("strip");
  strip.setAttribute("viewBox", `0 -0.05 ${Math.max(1, count - 1)} 2.1`);
  strip.replaceChildren(svg("line", { x1: 0, x2: count, y1: 1, y2: 1 }), svg("path", { d: points.join("") }), svg("line", { class: "now", y1: -1, y2: 3 }));
  moveTo(Math.min(cursor, count - 1));
}

for (const host of [$("unit-text"), $("back-text")]) {
  host.onmousemove = (event) => {
    const at = event.target.dataset?.at;
    if (at !== undefined) moveTo(Number(at));
  };
  host.onkeydown = (event) => {
    const far = unitSpans.length;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 20, ArrowUp: -20, Home: -far, End: far }[event.key];
    if (!step) return;
    event.preventDefault();
    moveTo(Math.min(unitSpans.length - 1, Math.max(0, cursor + step)));
    host.children[cursor]?.scrollIntoView({ block: "nearest" });
  };
}
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
  sharesView?.moveTo(cursor);
}

// Show the cell at the token under the cursor or the pointer, in the middle of each pane.
function showCell() {
  if (!seen || seen.isOld || !pointed) return;
  const t = seen.starts.indexOf(pointed.start);
  if (t < 0) return lookSoon(pointed.start); // outside of the part whose units are known
  moveTo(t);
  for (const host of [$("unit-text"), $("back-text")]) {
    const pane = host.parentElement;
    pane.scrollTop = (host.children[t]?.offsetTop ?? 0) - pane.clientHeight / 2;
  }
}

function drawCell(t) {
  const at = t * seen.width + layer * description.model.units + unit;
  const value = (name) => seen.values[name][at];
  const [f, i, g, o, c, h, before] = ["forget", "input", "candidate", "output", "cell", "hidden", "before"].map(value);
  const rows = [
    ["forget gate f", f, "how much of the old cell state is kept"],
    ["input gate i", i, "how much of the candidate is added"],
    ["candidate g", g, "what could be added"],
    ["output gate o", o, "how much of the cell is shown"],
  ];
  const token = visible(seen.tokens[t]) || "a special token";
  const title = `after ${token.length > 20 ? `${token.slice(0, 20)}…` : token}: layer ${layer + 1}, unit ${unit}`;
  const parts = [label(0, 12, title)];
  rows.forEach(([name, number, meaning], index) => {
    const y = 26 + index * 45;
    parts.push(label(0, y + 10, name), label(296, y + 10, signed(number, 3), "v", "end"), label(0, y + 34, meaning, "q"));
    parts.push(...bar(y + 16, number, name.startsWith("candidate")));
  });
  const two = (number) => signed(number, 2), factor = (number) => (number < 0 ? `(${two(number)})` : two(number));
  const lines = [
    "c = f·c₋₁ + i·g",
    `\u00a0 = ${two(f)}·${factor(before)} + ${two(i)}·${factor(g)} = ${two(c)}`,
    `h = o·tanh(c) = ${signed(h, 3)}`,
  ];
  parts.push(...lines.map((line, index) => label(0, 222 + 18 * index, line, "v")));
  $("cell").setAttribute("aria-label", [title, ...rows.map(([name, number]) => `${name} ${signed(number, 3)}`), ...lines].join(", "));
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

// Start

$("prompt").value = description.prompt ?? "";
text.value = description.text;
painting.setText(text.value);
const packed = atob($("weights").textContent);
const bytes = new Uint8Array(packed.length);
for (let i = 0; i < packed.length; i++) bytes[i] = packed.charCodeAt(i);
$("weights").remove();
worker.postMessage({ kind: "load", bytes, description }, [bytes.buffer]);
