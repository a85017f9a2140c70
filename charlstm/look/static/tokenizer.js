// Text to token ids, as charlstm divides it: characters, pieces of words, or words that are
// spelled where they are rare. Indices into a text count UTF-16 units, as everywhere in a browser.

const END_OF_DOCUMENT = 0, UNKNOWN = 1, BEGIN_SPELLING = 2, END_SPELLING = 3;
const LETTER_OR_DIGIT = /[\p{L}\p{N}\p{M}]/u;

class Tokenizer {
  // `about`: {level, pieces, merges, pattern, partial}.
  constructor(about) {
    this.level = about.level;
    this.pieces = about.pieces;
    this.spells = about.level === "word";
    this.joinsSpaces = about.level !== "char";
    const first = this.spells ? 4 : 2;
    this.ids = new Map(about.pieces.slice(first).map((piece, i) => [piece, first + i]));
    this.ranks = new Map(about.merges.map(([a, b], rank) => [a * 2 ** 26 + b, rank]));
    this.joined = about.merges.map(([a, b]) => this.ids.get(this.pieces[a] + this.pieces[b]));
    this.pattern = about.pattern && new RegExp(about.pattern, "gsv");
    this.partial = about.partial && new RegExp(`^(?:${about.partial})$`, "sv");
    this.known = new Map();
  }

  // Return the tokens of a text: their ids, and where each begins in the text.
  encode(text) {
    const ids = [], starts = [];
    const add = (found, at) => {
      for (const [id, length] of found) {
        ids.push(id);
        starts.push(at);
        at += length;
      }
    };
    if (!this.pattern) {
      let at = 0;
      for (const character of text) {
        ids.push(this.ids.get(character) ?? UNKNOWN);
        starts.push(at);
        at += character.length;
      }
    } else {
      let end = 0;
      for (const match of text.matchAll(this.pattern)) {
        // A lone surrogate matches nothing and is unknown.
        if (match.index > end) add([[UNKNOWN, match.index - end]], end);
        add(this._word(match[0]), match.index);
        end = match.index + match[0].length;
      }
      if (end < text.length) add([[UNKNOWN, text.length - end]], end);
    }
    return { ids: Uint32Array.from(ids), starts: Uint32Array.from(starts) };
  }

  _word(word) {
    let found = this.known.get(word);
    if (!found) {
      found = this.level === "word" ? this._spelled(word) : this._merged(word);
      if (word.length < 48 && this.known.size < 2 ** 16) this.known.set(word, found);
    }
    return found;
  }

  _spelled(word) {
    const id = this.ids.get(word);
    const characters = [...word];
    if (id !== undefined || characters.length === 1) return [[id ?? UNKNOWN, word.length]];
    const spelled = characters.map((c) => [this.ids.get(c) ?? UNKNOWN, c.length]);
    return [[BEGIN_SPELLING, 0], ...spelled, [END_SPELLING, 0]];
  }

  // Join the pair that was learned first, at its first place, until no learned pair is left.
  _merged(word) {
    const parts = [...word].map((c) => [this.ids.get(c) ?? UNKNOWN, c.length]);
    for (;;) {
      let best = Infinity, at = -1;
      for (let i = 0; i + 1 < parts.length; i++) {
        const rank = this.ranks.get(parts[i][0] * 2 ** 26 + parts[i + 1][0]) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (at < 0) return parts;
      parts.splice(at, 2, [this.joined[best], parts[at][1] + parts[at + 1][1]]);
    }
  }

  // Divide a prompt before its last word or number, which may be incomplete. Where tokens carry the
  // space before a word, a space at the end is the start of the next token.
  splitPrompt(text) {
    if (!this.joinsSpaces) return [text, ""];
    if (text.endsWith(" ")) return [text.slice(0, -1), " "];
    const line = text.slice(text.lastIndexOf("\n") + 1);
    const tokens = Array.from(line.matchAll(this.pattern), ([token]) => token);
    const last = tokens.at(-1) ?? "", previous = tokens.at(-2) ?? "";
    if (/^['’]$/.test(last) && this.partial.test(previous) && !/\p{Nd}$/v.test(previous)) {
      // An apostrophe joins a word only if a letter follows. At word level it is a token until then.
      return this.spells ? [text, ""] : cut(text, previous + last);
    }
    return this.partial.test(last) ? cut(text, last) : [text, ""];
  }
}

// Whether a piece can write a text that must come next, or the beginning of it.
function fitsTo(rest, piece) {
  return piece !== "" && (piece.startsWith(rest) || rest.startsWith(piece));
}

function cut(text, end) {
  return [text.slice(0, text.length - end.length), end];
}

export { BEGIN_SPELLING, END_OF_DOCUMENT, END_SPELLING, LETTER_OR_DIGIT, Tokenizer, UNKNOWN, fitsTo };
