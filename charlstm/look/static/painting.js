// Text as lines of colored tokens, behind the field in which it is typed. Each line is a block of
// its own, so that coloring lays out only some lines.

class Painting {
  // `host`: an element that holds the lines. Tokens are {start, end, kind}, in the text's order.
  constructor(host) {
    this.host = host;
    this.text = "";
    this.lines = []; // {start, end, node}; `end` is after the line end
    this.tokens = [];
  }

  // Show another text. Tokens before the first change stay. The lines after the last change keep
  // their old colors until they are painted again, so that an edit draws few lines.
  setText(text) {
    const old = this.text, by = text.length - old.length;
    const most = Math.min(text.length, old.length);
    let same = 0, sameEnd = 0;
    while (same < most && text[same] === old[same]) same++;
    while (sameEnd < most - same && text.at(-1 - sameEnd) === old.at(-1 - sameEnd)) sameEnd++;
    while (this.tokens.length && this.tokens.at(-1).end > same) this.tokens.pop();
    let first = this.lines.length; // of the lines after the last change; a line end is before each
    while (first > 0 && this.lines[first - 1].start > old.length - sameEnd) first--;
    const after = this.lines.splice(first);
    for (const line of after) {
      line.start += by;
      line.end += by;
      line.isOld = true;
    }
    this.text = text;
    // The line that changes keeps what is before the change.
    while (this.lines.length > 1 && this.lines.at(-1).start > same) this.lines.pop().node.remove();
    const changed = this.lines.at(-1);
    if (changed) {
      changed.end = endOfLine(text, changed.start);
      this._draw(changed, same);
    }
    const added = [];
    let last = changed;
    const goesOn = () => (after.length ? (last?.end ?? 0) < after[0].start
      : !last || (last.start < last.end && isBreak(text[last.end - 1])));
    while (goesOn()) {
      const start = last?.end ?? 0;
      last = { start, end: endOfLine(text, start), node: document.createElement("div") };
      added.push(last);
    }
    const nodes = added.map((line) => line.node);
    if (after.length) after[0].node.before(...nodes);
    else this.host.append(...nodes);
    this.lines.push(...added, ...after);
    for (const line of added) this._draw(line);
  }

  // Replace the tokens from a number on by others and draw them.
  setTokens(from, tokens) {
    this.tokens.length = Math.min(this.tokens.length, from);
    for (const token of tokens) this.tokens.push(token);
    if (tokens.length) this._drawBetween(tokens[0].start, tokens.at(-1).end);
  }

  // Draw tokens for now, without storing them.
  glance(tokens) {
    if (!tokens.length) return;
    const stored = this.tokens;
    this.tokens = tokens;
    this._drawBetween(tokens[0].start, tokens.at(-1).end);
    this.tokens = stored;
  }

  _drawBetween(start, end) {
    for (let i = this._lineAt(start); i < this.lines.length && this.lines[i].start < end; i++) {
      this._draw(this.lines[i], start);
    }
  }

  // Draw a line again from an index of the text on.
  _draw(line, from = line.start) {
    const { text, tokens } = this;
    const { node } = line;
    if (line.isOld) node.replaceChildren();
    line.isOld = false;
    while (node.lastChild && !(node.lastChild.token?.end <= from)) node.lastChild.remove();
    let at = node.lastChild ? node.lastChild.token.end : line.start;
    const nodes = [];
    const plain = (end) => {
      if (end > at) nodes.push(document.createTextNode(withoutBreak(text.slice(at, end))));
      at = Math.max(at, end);
    };
    for (let i = firstAfter(tokens, at); i < tokens.length && tokens[i].start < line.end; i++) {
      const { start, end, kind } = tokens[i];
      plain(start);
      const made = document.createElement("span");
      made.textContent = withoutBreak(text.slice(start, end));
      made.className = made.textContent || start === end ? kind : `${kind} break`;
      made.token = tokens[i];
      tokens[i].node = made;
      nodes.push(made);
      at = end;
    }
    plain(line.end);
    node.append(...nodes);
  }

  // Put an element at the end of the text.
  append(node) {
    this.lines.at(-1)?.node.append(node);
  }

  _lineAt(index) {
    let low = 0, high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.lines[middle].start <= index) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The index of the text at the top of a box that scrolls.
  indexAt(top) {
    let low = 0, high = this.lines.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.lines[middle].node.getBoundingClientRect().bottom < top) low = middle + 1;
      else high = middle;
    }
    return this.lines[low]?.start ?? 0;
  }

  // The number of the token at an index, -1 if there is none.
  tokenAt(index) {
    const at = firstAfter(this.tokens, index + 1) - 1;
    return this.tokens[at]?.end > index ? at : -1;
  }
}

// The number of the first token that begins at an index or after it.
function firstAfter(tokens, index) {
  let low = 0, high = tokens.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (tokens[middle].start < index) low = middle + 1;
    else high = middle;
  }
  return low;
}

function isBreak(character) {
  return character === "\n";
}

function endOfLine(text, start) {
  const at = text.indexOf("\n", start);
  return at < 0 ? text.length : at + 1;
}

function withoutBreak(piece) {
  return piece.replace(/\n/g, "");
}

export { Painting };
