// The word that most likely completes or follows a text, by best-first search.

import { logSoftmax } from "./engine.js";
import { BEGIN_SPELLING, END_OF_DOCUMENT, LETTER_OR_DIGIT, UNKNOWN, fitsTo } from "./tokenizer.js";

const MOST_STEPS = 64; // tokens that one search reads
const MOST_BEGINNINGS = 3; // ways to divide the same part of a half-typed word
const MOST_CHILDREN = 8; // tokens by which a path is extended
const LONGEST = 24; // characters after which a word is shown before it ends

const WORD_END = /[\p{L}\p{N}\p{M}]$/u;
const IN_WORD = 1, AFTER_SPACE = 2; // where a piece begins

class Completer {
  constructor(engine, tokenizer) {
    this.engine = engine;
    this.tokenizer = tokenizer;
    this.kinds = Uint8Array.from(tokenizer.pieces, (piece, id) => {
      if (id === END_OF_DOCUMENT || id === UNKNOWN || !piece) return 0;
      if (beginsInWord(piece)) return IN_WORD;
      return piece === " " || (piece[0] === " " && beginsInWord(piece.slice(1))) ? AFTER_SPACE : 0;
    });
  }

  // Return what the most likely word adds to a text, "" if something other than a word is more
  // likely. Yields between steps.
  // `state`: that before `id`, which is read first. `rest`: the end of the text, not read yet.
  // `isOpen`: whether a space and another word may follow.
  *complete(state, id, rest, isOpen) {
    const root = { log: 0, out: "", state, id };
    const paths = rest ? yield* this._coverings(root, rest) : [root];
    for (let steps = 0; steps < MOST_STEPS && paths.length; steps++) {
      const best = pop(paths);
      if (best.isDone) return best.out;
      paths.push(...this._extended(best, isOpen));
      yield;
    }
    return "";
  }

  // Return the likely ways to write a text that was typed but not read. The last token of each may
  // be longer than the text.
  *_coverings(root, rest) {
    const { pieces } = this.tokenizer;
    const found = [], waiting = Array.from({ length: rest.length }, () => []);
    waiting[0].push(root);
    for (let written = 0; written < waiting.length; written++) {
      const left = rest.slice(written);
      for (const path of mostLikely(waiting[written], MOST_BEGINNINGS)) {
        const longer = [];
        const read = this._read(path);
        for (let id = UNKNOWN + 1; id < pieces.length; id++) {
          const piece = pieces[id];
          if (!fitsTo(left, piece)) continue;
          const out = piece.slice(left.length);
          const next = { log: path.log + read.logs[id], out, state: read.state, id };
          if (piece.length < left.length) waiting[written + piece.length].push(next);
          else longer.push(out.trimStart() && !beginsInWord(out) ? { ...next, out: "", isDone: true } : next);
        }
        found.push(...mostLikely(longer, MOST_CHILDREN));
        yield;
      }
    }
    return found;
  }

  // Return a path with each likely token that may come next, and as it ends.
  _extended(path, isOpen) {
    const { out, log } = path;
    const { pieces, spells } = this.tokenizer;
    const { state, logs } = this._read(path);
    const children = [];
    let going = 0, other = -Infinity;
    for (let id = 0; id < logs.length; id++) {
      const kind = this.kinds[id];
      if (kind === IN_WORD || (kind === AFTER_SPACE && !out && isOpen)) {
        going += Math.exp(logs[id]);
        const added = out + pieces[id];
        children.push({ log: log + logs[id], out: added, state, id, isDone: added.length >= LONGEST });
      } else if (id !== UNKNOWN && !(spells && id === BEGIN_SPELLING)) {
        other = Math.max(other, logs[id]);
      }
    }
    const found = mostLikely(children, MOST_CHILDREN);
    if (!out) found.push({ log: log + other, out, isDone: true });
    else if (WORD_END.test(out)) {
      found.push({ log: log + Math.log(Math.max(1 - going, 1e-12)), out, isDone: true });
    }
    return found;
  }

  // Read the last token of a path.
  _read(path) {
    const state = path.state.copy();
    return { state, logs: logSoftmax(this.engine.step(state, path.id)) };
  }
}

function beginsInWord(text) {
  const [first = ""] = text;
  return LETTER_OR_DIGIT.test(first) || first === "'" || first === "’";
}

function mostLikely(paths, count) {
  return paths.sort((a, b) => b.log - a.log).slice(0, count);
}

// Remove the most likely path from a list and return it.
function pop(paths) {
  let best = 0;
  for (let i = 1; i < paths.length; i++) if (paths[i].log > paths[best].log) best = i;
  return paths.splice(best, 1)[0];
}

export { Completer };
