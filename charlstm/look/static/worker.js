// The thread that computes. Requests come as {kind, number, ...}; a newer request of a kind ends the
// older one. Answers carry the number of their request.

let engine, tokenizer, reader, completer, about;
const current = {}; // kind -> the number of the newest request

const jobs = []; // {kind, number, steps}
const LISTED = 100; // units in the list of a layer
const POST_MS = 150; // between parts of a text that is read

async function load({ bytes, description }) {
  about = description;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const { header, tensors } = unpack(new Uint8Array(await new Response(stream).arrayBuffer()));
  engine = new Engine(header.model, tensors);
  tokenizer = new Tokenizer(about);
  reader = new Reader(engine, tokenizer, about.division);
  completer = new Completer(engine, tokenizer);
  postMessage({ kind: "ready" });
  waiting.splice(0).forEach(take);
}

function* write(request) {
  const { prompt, temperature, minP, seed, length, number } = request;
  const random = randomFrom(seed);
  const state = engine.newState();
  let [before, partial] = tokenizer.splitPrompt(composed(prompt));
  // Other jobs use the engine between two steps, so its logits are copied.
  const step = (id) => engine.step(state, id).slice();
  let logits = step(END_OF_DOCUMENT);
  for (const id of tokenizer.encode(before).ids) {
    logits = step(id);
    yield;
  }
  const start = performance.now();
  let written = 0, spelled = -1, reason = "length"; // `spelled`: characters of a spelled word so far
  while (written < length) {
    const rest = partial;
    const fits = (id) => {
      if (id === UNKNOWN) return false;
      if (id === END_OF_DOCUMENT) return about.ends && !rest && spelled < 0;
      const piece = tokenizer.pieces[id];
      if (tokenizer.spells && spelled >= 0) {
        if (id === END_SPELLING) return spelled > 0 && !rest;
        if (piece.length === 0 || [...piece].length > 1) return false;
      } else if (tokenizer.spells && id < FIRST_TEXT) {
        return id === BEGIN_SPELLING;
      }
      return !rest || fitsTo(rest, piece);
    };
    const logs = logSoftmax(logits);
    const id = choose(logs, { temperature, minP }, random, fits);
    if (id < 0) { // no piece fits: read the rest as it is
      partial = "";
      if (!rest) break;
      for (const other of tokenizer.encode(rest).ids) logits = step(other);
      continue;
    }
    if (id === END_OF_DOCUMENT) {
      reason = "end";
      break;
    }
    if (tokenizer.spells) {
      if (id === BEGIN_SPELLING) spelled = 0;
      else if (id === END_SPELLING) spelled = -1;
      else if (spelled >= 0) spelled++;
    }
    const piece = tokenizer.pieces[id];
    const text = piece.slice(Math.min(rest.length, piece.length));
    partial = rest.slice(piece.length);
    written++;
    postMessage({ kind: "wrote", number, text, probability: Math.exp(logs[id]) });
    logits = step(id);
    yield;
  }
  const seconds = (performance.now() - start) / 1000;
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
      // The page may have less than was read: some answers came too late for it.
      if (isFirst) posted = Math.min(value.from, request.known);
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
  postMessage({ kind: "complete", number: request.number, completion: yield* completion(text) });
}

// Return the end of the most likely word at the end of a text, or the word after it.
function* completion(text) {
  if (!text) return "";
  const isOpen = !/\s$/.test(text);
  if (!tokenizer.joinsSpaces) {
    const state = reader.endId === END_OF_DOCUMENT ? engine.newState() : reader.end;
    return yield* completer.complete(state, reader.endId, "", isOpen);
  }
  const divided = reader.division.unit === "line" || reader.division.unit === "record";
  const line = divided ? text.split(/\r\n|\n|\r/).at(-1) : text;
  const [before, rest] = tokenizer.splitPrompt(line.slice(-2000));
  const state = engine.newState();
  let last = END_OF_DOCUMENT;
  for (const id of tokenizer.encode(before).ids.slice(-64)) {
    engine.step(state, last);
    last = id;
    yield;
  }
  return yield* completer.complete(state, last, rest, isOpen);
}

function* alternatives({ at, count, number }) {
  const found = reader.divided && at < reader.done ? yield* reader.alternatives(at, count) : null;
  for (const each of found ?? []) each.text = tokenizer.pieces[each.id];
  postMessage({ kind: "alternatives", number, found });
}

function* look({ around, number }) {
  if (!reader.divided) return;
  const { starts, lengths } = reader.divided;
  const count = reader.done; // so far; the page asks again after reading
  let middle = 0;
  while (middle < count && starts[middle] < around) middle++;
  if (middle === count && count < starts.length) middle = 0; // not read yet
  const from = Math.max(0, Math.min(middle - WINDOW / 2, count - WINDOW));
  const to = Math.min(count, from + WINDOW);
  let values = null;
  for (const part of watching(from, to)) {
    values = part;
    yield;
  }
  const tokens = Array.from({ length: to - from }, (_, i) => (
    reader.text.slice(starts[from + i], starts[from + i] + lengths[from + i])));
  const { units, layers } = engine;
  const features = featuresOf(tokens);
  const width = layers * units;
  const ranked = [];
  for (let layer = 0; layer < layers; layer++) {
    const own = new Float32Array((to - from) * units);
    for (let t = 0; t < to - from; t++) {
      const at = t * width + layer * units;
      for (let u = 0; u < units; u++) own[t * units + u] = Math.tanh(values.cell[at + u]);
    }
    yield;
    ranked.push(rankUnits(own, units, features).slice(0, LISTED));
    yield;
  }
  const buffers = Object.values(values).map((each) => each.buffer);
  postMessage(
    {
      kind: "looked", number, tokens, ranked, values, width,
      starts: starts.slice(from, to), firsts: reader.firsts(from, to),
    },
    buffers,
  );
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

const KINDS = { write, read, alternatives, look };
const FIRST_TEXT = 4; // the id of the first text at word level, after the special tokens
let pauseAt = 0, isScheduled = false;

function schedule() {
  if (isScheduled || !jobs.length) return;
  isScheduled = true;
  setTimeout(run, 0);
}

// Give the first job a slice of time; messages arrive between slices.
function run() {
  isScheduled = false;
  const job = jobs.shift();
  pauseAt = performance.now() + SLICE_MS;
  let done = false;
  try {
    while (!done && performance.now() < pauseAt) {
      done = current[job.kind] !== job.number || job.steps.next().done;
    }
    if (!done) jobs.push(job);
  } catch (error) {
    fail(error);
  } finally {
    schedule();
  }
}

function fail(error) {
  postMessage({ kind: "failed", message: String(error?.message ?? error) });
}

const waiting = []; // requests that came before the model was loaded

function take(request) {
  if (request.kind === "stop") {
    current[request.what] = -1;
    return;
  }
  if (!reader) {
    waiting.push(request);
    return;
  }
  current[request.kind] = request.number;
  if (request.kind === "read") current.look = -1; // the page asks again after reading
  const job = { kind: request.kind, number: request.number, steps: KINDS[request.kind](request) };
  jobs.unshift(job);
  schedule();
}

onmessage = ({ data }) => {
  if (data.kind === "load") load(data).catch(fail);
  else take(data);
};
