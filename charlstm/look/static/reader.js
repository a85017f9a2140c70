// Reading a text: the surprisal of every token, what else was likely, and what the units did.
// Long texts are read in slices, so that newer requests are answered in between.

const SAVE_EVERY = 64; // tokens between saved states, from which an edited text is read again
const WARM_UP = 256; // tokens that are read before a part that is shown first
const SLICE_MS = 25;

class Reader {
  constructor(engine, tokenizer, division) {
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.division = division;
    this.saved = []; // states before token 0, SAVE_EVERY, 2 * SAVE_EVERY, ...
  }

  // Divide a text into the sequence that the model reads. Each position has the id that is read
  // next, where it is in the text, and whether a document begins there.
  divide(text) {
    const parts = documentsOf(text, this.division);
    const ids = [], starts = [], lengths = [], begins = [];
    for (const { start, end, gap } of parts) {
      const encoded = this.tokenizer.encode(text.slice(start, end));
      for (let i = 0; i < encoded.ids.length; i++) {
        const next = i + 1 < encoded.ids.length ? encoded.starts[i + 1] : end - start;
        ids.push(encoded.ids[i]);
        starts.push(start + encoded.starts[i]);
        lengths.push(next - encoded.starts[i]);
        begins.push(i === 0);
      }
      if (gap) { // the end of the document, which the model predicts too
        ids.push(END_OF_DOCUMENT);
        starts.push(end);
        lengths.push(gap);
        begins.push(end === start);
      }
    }
    return { ids: Uint32Array.from(ids), starts, lengths, begins };
  }

  // Read a text, yielding {from, to} as parts of `surprisals`, in bits, are done. What did not change
  // since the last call is not read again. The part from `shown` on is read first, with surprisals of
  // its own.
  *read(text, shown = 0) {
    const divided = this.divide(text);
    const old = this.divided;
    let same = 0;
    if (old) {
      const most = Math.min(old.ids.length, divided.ids.length, this.done);
      while (same < most && old.ids[same] === divided.ids[same]
        && old.begins[same] === divided.begins[same]) same++;
    }
    this.divided = divided;
    this.text = text;
    const count = divided.ids.length;
    const surprisals = new Float32Array(count);
    if (this.surprisals) surprisals.set(this.surprisals.subarray(0, same));
    this.surprisals = surprisals;
    this.saved.length = Math.min(this.saved.length, Math.floor(same / SAVE_EVERY) + 1);
    this.done = Math.max(0, this.saved.length - 1) * SAVE_EVERY;
    let first = 0;
    while (first < count && divided.starts[first] < shown) first++;
    if (first - this.done > 2 * WARM_UP) yield* this._glance(first);
    let from = this.done;
    const state = this.saved.length ? this.saved.at(-1).copy() : this.engine.newState();
    for (let at = from; at < count; at++) {
      if (at % SAVE_EVERY === 0) this.saved[at / SAVE_EVERY] = state.copy();
      surprisals[at] = this._surprisal(state, at);
      this.done = at + 1;
      if (performance.now() > this.pause || at === count - 1) {
        yield { from, to: at + 1 };
        from = at + 1;
      }
    }
    // Where the text ends now, for what may follow.
    this.end = state;
    this.endId = count ? divided.ids[count - 1] : END_OF_DOCUMENT;
    if (!count) yield { from: 0, to: 0 };
  }

  // Read a part that is on the screen after a short warm-up; the exact figures come later.
  *_glance(first) {
    const { ids } = this.divided;
    const state = this.engine.newState();
    const start = Math.max(0, first - WARM_UP), stop = Math.min(ids.length, first + 2500);
    const found = [];
    for (let at = start, from = first; at < stop; at++) {
      const bits = this._surprisal(state, at);
      if (at >= first) found.push(bits);
      if (performance.now() > this.pause || at === stop - 1) {
        yield { from, to: from + found.length, surprisals: Float32Array.from(found), glance: true };
        from += found.length;
        found.length = 0;
      }
    }
  }

  // Read the token before `at` and return how surprising the one at `at` is, in bits.
  _surprisal(state, at) {
    const { ids, begins } = this.divided;
    if (begins[at]) state.clear();
    const before = begins[at] || at === 0 ? END_OF_DOCUMENT : ids[at - 1];
    const logits = this.engine.step(state, before);
    return (logSum(logits) - logits[ids[at]]) / Math.LN2;
  }

  *_stateBefore(at) {
    const known = Math.min(Math.floor(at / SAVE_EVERY), this.saved.length - 1);
    const state = known >= 0 ? this.saved[known].copy() : this.engine.newState();
    for (let i = Math.max(0, known) * SAVE_EVERY; i < at; i++) {
      this._surprisal(state, i);
      if (performance.now() > this.pause) yield;
    }
    return state;
  }

  // The most likely tokens at a place, and the one that is there:
  // [{id, probability, isChosen}, ...]. Yields between steps.
  *alternatives(at, count) {
    const state = yield* this._stateBefore(at);
    this._surprisal(state, at);
    const logs = logSoftmax(this.engine.logits);
    const id = this.divided.ids[at];
    const list = most(logs, count);
    if (!list.some(([other]) => other === id)) list[list.length - 1] = [id, logs[id]];
    return list.map(([other, log]) => (
      { id: other, probability: Math.exp(log), isChosen: other === id }));
  }

  // What the network does while a part of the text is read: for each quantity, and for the cell
  // state before each token, float32 [tokens, layers * units]; with attention over N outputs also
  // `shares` [tokens, N], the latest output first. Values at a token are those after it was read.
  // Yields null between steps, and the values at last.
  *watch(from, to) {
    const { layers, units, attention } = this.engine;
    const width = layers * units, { ids, begins } = this.divided;
    const values = Object.fromEntries(
      [...QUANTITIES, "before"].map((name) => [name, new Float32Array((to - from) * width)]));
    if (attention) values.shares = new Float32Array((to - from) * attention.reach);
    const state = yield* this._stateBefore(from);
    const store = (at) => (layer, gates, cells, cellAt, hiddens, hiddenAt) => {
      const out = (at - from) * width + layer * units;
      values.input.set(gates.subarray(0, units), out);
      values.forget.set(gates.subarray(units, 2 * units), out);
      values.output.set(gates.subarray(2 * units, 3 * units), out);
      values.candidate.set(gates.subarray(3 * units, 4 * units), out);
      values.cell.set(cells.subarray(cellAt, cellAt + units), out);
      values.hidden.set(hiddens.subarray(hiddenAt, hiddenAt + units), out);
    };
    // Token `at` is read in the step that predicts the next one.
    for (let at = from; at < to; at++) {
      if (begins[at]) {
        state.clear();
        this.engine.step(state, END_OF_DOCUMENT);
      } else if (at === from) {
        this._surprisal(state, at);
      }
      if (ids[at] === END_OF_DOCUMENT) state.clear();
      values.before.set(state.cells.subarray(width), (at - from) * width);
      this.engine.step(state, ids[at], store(at));
      if (attention) values.shares.set(attention.shares, (at - from) * attention.reach);
      if (performance.now() > this.pause) yield null;
    }
    yield values;
  }

  // The first token of the document of each token of a part, counting from the start of the part.
  // The end of a document belongs to none, because it clears the state.
  firsts(from, to) {
    const { ids, begins } = this.divided;
    const isFirst = (at) => begins[at] || ids[at] === END_OF_DOCUMENT;
    let first = from;
    while (first > 0 && !isFirst(first)) first--;
    return Array.from({ length: to - from }, (_, i) => {
      if (isFirst(from + i)) first = from + i;
      return first - from;
    });
  }
}

// Divide a text into the documents that a model was trained on: lines, paragraphs, parts between
// delimiters, or all of it. Blank documents are left out. `gap` is the length of what follows a
// document up to the next one, 0 if the text ends with the document.
function documentsOf(text, { unit, delimiter }) {
  const isLine = unit === "line" || unit === "record";
  if (!isLine && unit !== "paragraph" && !delimiter) {
    return [{ start: 0, end: text.length, gap: 0 }];
  }
  const separates = (line) => (delimiter ? line === delimiter : line.trim() === "");
  const found = [];
  let open = null; // the document that the last line belongs to
  for (const { 0: whole, 1: line, index } of text.matchAll(/(?!$)([^\r\n]*)(?:\r\n|\n|\r|$)/g)) {
    if (!whole) continue;
    if (separates(line)) {
      open = null;
      continue;
    }
    if (open) {
      open.end = index + line.length;
    } else {
      open = { start: index, end: index + line.length };
      found.push(open);
    }
    if (isLine) open = null;
  }
  const documents = found.filter(({ start, end }) => text.slice(start, end).trim());
  return documents.map(({ start, end }, i) => (
    { start, end, gap: (documents[i + 1]?.start ?? text.length) - end }));
}

export { Reader, SAVE_EVERY, SLICE_MS, documentsOf };
