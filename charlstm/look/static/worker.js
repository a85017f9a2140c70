// The thread that computes. Requests come as {kind, number, ...}; a newer request of a kind ends the
// older one. Answers carry the number of their request.

let engine, tokenizer, reader, about;
const current = {}; // kind -> the number of the newest request

const jobs = []; // {kind, number, steps}
const POST_MS = 150; // between parts of a text that is read

async function load({ bytes, description }) {
  about = description;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const { header, tensors } = unpack(new Uint8Array(await new Response(stream).arrayBuffer()));
  engine = new Engine(header.model, tensors);
  tokenizer = new Tokenizer(about);
  reader = new Reader(engine, tokenizer, about.division);
  postMessage({ kind: "ready" });
}

function* write(request) {
  const { prompt, temperature, minP, seed, length, number } = request;
  const random = randomFrom(seed);
  const state = engine.newState();
  let [before, partial] = tokenizer.splitPrompt(composed(prompt));
  let logits = engine.step(state, END_OF_DOCUMENT);
  for (const id of tokenizer.encode(before).ids) {
    logits = engine.step(state, id);
    yield;
  }
  const begun = performance.now();
  let written = 0, spelling = false, reason = "length";
  while (written < length) {
    const rest = partial;
    const fits = (id) => {
      if (id === UNKNOWN) return false;
      if (id === END_OF_DOCUMENT) return about.ends && !rest && !spelling;
      const piece = tokenizer.pieces[id];
      return !rest || (piece !== "" && (piece.startsWith(rest) || rest.startsWith(piece)));
    };
    const logs = logSoftmax(logits);
    let id = choose(logs, { temperature, minP }, random, fits);
    if (id < 0) { // no piece fits: read the rest as it is
      partial = "";
      for (const other of tokenizer.encode(rest).ids) logits = engine.step(state, other);
      continue;
    }
    if (id === END_OF_DOCUMENT) {
      reason = "end";
      break;
    }
    if (id === BEGIN_SPELLING && tokenizer.spells) spelling = true;
    if (id === END_SPELLING && tokenizer.spells) spelling = false;
    const piece = tokenizer.pieces[id];
    const text = piece.slice(Math.min(rest.length, piece.length));
    partial = rest.slice(piece.length);
    written++;
    postMessage({ kind: "wrote", number, text, probability: Math.exp(logs[id]) });
    logits = engine.step(state, id);
    yield;
  }
  const seconds = (performance.now() - begun) / 1000;
  postMessage({ kind: "written", number, reason, written, seconds });
}

function* read(request) {
  const text = composed(request.text);
  const parts = reader.read(text, request.shown);
  let posted = 0, postedAt = -Infinity, isFirst = true;
  for (;;) {
    reader.pause = pauseAt;
    const { value, done } = parts.next();
    if (done) break;
    const { starts, lengths } = reader.divided;
    const count = starts.length;
    if (value.glance) {
      post(value);
    } else {
      if (isFirst) posted = value.from;
      isFirst = false;
      if (value.to === count || performance.now() - postedAt > POST_MS) {
        let bits = 0;
        for (const each of reader.surprisals.subarray(0, value.to)) bits += each;
        post({ from: posted, to: value.to, surprisals: reader.surprisals.slice(posted, value.to), bits });
        posted = value.to;
        postedAt = performance.now();
      }
    }
    yield;

    function post(part) {
      postMessage({
        kind: "read", number: request.number, total: count, ...part,
        starts: starts.slice(part.from, part.to), lengths: lengths.slice(part.from, part.to),
      });
    }
  }
  postMessage({ kind: "complete", number: request.number, completion: completion(text) });
}

// Return the most likely way to go on to the end of the word at the end of a text.
function completion(text) {
  if (!text) return "";
  let [before, partial] = tokenizer.splitPrompt(text);
  let state = reader.end.slice(), logits;
  if (tokenizer.joinsSpaces) {
    const line = reader.division.unit === "line" ? text.split(/\r\n|\n|\r/).at(-1) : text;
    [before, partial] = tokenizer.splitPrompt(line.slice(-2000));
    state = engine.newState();
    logits = engine.step(state, END_OF_DOCUMENT);
    for (const id of tokenizer.encode(before).ids.slice(-64)) logits = engine.step(state, id);
  } else {
    logits = engine.step(state, reader.endId);
  }
  let out = "";
  for (let i = 0; i < 24 && out.length < 40; i++) {
    const rest = partial;
    const id = choose(logSoftmax(logits), { temperature: 0, minP: 0 }, null, (other) => {
      const piece = tokenizer.pieces[other];
      return piece !== "" && other !== UNKNOWN && (piece.startsWith(rest) || rest.startsWith(piece));
    });
    if (id < 0) break;
    const piece = tokenizer.pieces[id];
    const added = piece.slice(Math.min(rest.length, piece.length));
    const inWord = LETTER_OR_DIGIT.test(added[0] ?? "") || added === "'" || added === "’";
    if (out && !rest && !inWord) break;
    if (!out && !rest && !inWord && !(i === 0 && added.startsWith(" "))) break;
    out += added;
    partial = rest.slice(piece.length);
    logits = engine.step(state, id);
  }
  return out.trim() ? out : "";
}

function alternatives({ at, count, number }) {
  const found = reader.divided && at < reader.done ? reader.alternatives(at, count) : null;
  if (!found) return postMessage({ kind: "alternatives", number, at, found: null });
  for (const each of [...found.list, found.own]) each.text = tokenizer.pieces[each.id];
  postMessage({ kind: "alternatives", number, at, found });
}

function* look({ around, layer, number }) {
  const { ids, starts } = reader.divided;
  let middle = 0;
  while (middle < ids.length && starts[middle] < around) middle++;
  const from = Math.max(0, Math.min(middle - WINDOW / 2, ids.length - WINDOW));
  const to = Math.min(ids.length, from + WINDOW);
  if (to === from) return;
  let values = null;
  for (const part of watching(from, to)) {
    values = part;
    yield;
  }
  const tokens = [...ids.slice(from, to)].map((id) => tokenizer.pieces[id] || (id === END_OF_DOCUMENT ? "\n" : ""));
  const { units, layers } = engine;
  const features = featuresOf(tokens);
  const width = layers * units;
  const ranked = [];
  for (let each = 0; each < layers; each++) {
    const own = new Float32Array((to - from) * units);
    for (let t = 0; t < to - from; t++) {
      for (let u = 0; u < units; u++) own[t * units + u] = Math.tanh(values.cell[t * width + each * units + u]);
    }
    yield;
    ranked.push(rankUnits(own, units, features).slice(0, 200));
    yield;
  }
  postMessage({
    kind: "looked", number, from, to, tokens, ranked, values, width,
    starts: starts.slice(from, to),
  });
}

function* watching(from, to) {
  const parts = reader.watch(from, to);
  for (;;) {
    reader.pause = pauseAt;
    const { value, done } = parts.next();
    if (done) return;
    yield value;
  }
}

function composed(text) {
  return about.normalize === "nfc" ? text.normalize("NFC") : text;
}

const KINDS = { write, read, look };
let pauseAt = 0, isScheduled = false;

function schedule() {
  if (isScheduled) return;
  isScheduled = true;
  setTimeout(run, 0);
}

// Give each job in turn a slice of time; messages arrive between slices.
function run() {
  isScheduled = false;
  if (!jobs.length) return;
  const job = jobs.shift();
  pauseAt = performance.now() + SLICE_MS;
  let done = false;
  while (!done && performance.now() < pauseAt) {
    if (current[job.kind] !== job.number) done = true;
    else done = job.steps.next().done;
  }
  if (!done) jobs.push(job);
  schedule();
}

onmessage = ({ data }) => {
  if (data.kind === "load") return load(data);
  if (data.kind === "stop") {
    current[data.what] = -1;
    return;
  }
  if (data.kind === "alternatives") return alternatives(data);
  current[data.kind] = data.number;
  // Reading changes what looking sees, so that is begun anew afterwards by the page.
  if (data.kind === "read") current.look = -1;
  jobs.unshift({ kind: data.kind, number: data.number, steps: KINDS[data.kind](data) });
  schedule();
};
