// What units track: features of a text, and how each unit's cell state correlates with them.

const WINDOW = 1500; // tokens whose values are kept
const CLEAR = 0.4; // the correlation from which a unit counts as tracking a feature

// Features of each token, by its text and place. Values are 0 or 1, or a position.
const FEATURES = {
  "position in the line": (line) => Math.min(line.column, 80) / 80,
  "end of a line": (line) => (line.isBreak ? 1 : 0),
  "inside quotes": (line) => line.quoted,
  "inside brackets": (line) => line.brackets,
  "capitals": (line) => line.capital,
  "start of a word": (line) => line.wordStart,
  "length of the word": (line) => Math.min(line.inWord, 12) / 12,
  "digits": (line) => line.digit,
  "punctuation": (line) => line.punctuation,
  "heading or speaker": (line) => line.heading,
};

// Return the features of tokens, {name: Float32Array [tokens]}.
function featuresOf(tokens) {
  const out = Object.fromEntries(
    Object.keys(FEATURES).map((name) => [name, new Float32Array(tokens.length)]));
  const line = { column: 0, brackets: 0, quoted: 0, inWord: 0 };
  let straight = false, before = "\n", heading = headingAt(tokens, 0);
  tokens.forEach((token, index) => {
    const text = token.trimStart() || token;
    const first = text[0] ?? "", last = token.at(-1) ?? "";
    for (const character of token) {
      if (character === '"') straight = !straight;
      if (character === "“") straight = true;
      if (character === "”" || (character === "\n" && line.isBreak)) straight = false;
      if ("([{".includes(character)) line.brackets = 1;
      if (")]}".includes(character)) line.brackets = 0;
    }
    line.quoted = straight ? 1 : 0;
    line.isBreak = token.includes("\n");
    line.capital = /\p{Lu}/u.test(token) ? 1 : 0;
    line.digit = /\p{N}/u.test(token) ? 1 : 0;
    line.punctuation = /\p{P}/u.test(token) ? 1 : 0;
    const isLetter = /[\p{L}\p{N}]/u.test(first);
    line.wordStart = isLetter && (token !== text || !/[\p{L}\p{N}]/u.test(before)) ? 1 : 0;
    line.inWord = isLetter ? (line.wordStart ? 1 : line.inWord + 1) : 0;
    line.heading = heading ? 1 : 0;
    for (const [name, value] of Object.entries(FEATURES)) out[name][index] = value(line);
    line.column = line.isBreak ? 0 : line.column + token.length;
    if (line.isBreak) heading = headingAt(tokens, index + 1);
    before = last;
  });
  return out;
}

// Whether a line that begins at a token ends with a colon or has no lower-case letter.
function headingAt(tokens, start) {
  let text = "";
  for (let i = start; i < tokens.length && i < start + 60 && !text.includes("\n"); i++) {
    text += tokens[i];
  }
  const line = text.split("\n")[0].trim();
  return line.length > 1 && (line.endsWith(":") || (/\p{Lu}/u.test(line) && !/\p{Ll}/u.test(line)));
}

// Rank units by the largest correlation of their values with a feature.
// `values` is float32 [tokens, units]. Returns [{unit, feature, correlation}], strongest first.
function rankUnits(values, units, features) {
  const count = values.length / units;
  const scaled = Object.entries(features).map(([name, feature]) => [name, standardized(feature)])
    .filter(([, feature]) => feature);
  const ranked = [];
  const column = new Float32Array(count);
  for (let unit = 0; unit < units; unit++) {
    for (let t = 0; t < count; t++) column[t] = values[t * units + unit];
    const own = standardized(column);
    if (!own) continue;
    let best = { unit, feature: "", correlation: 0 };
    for (const [name, feature] of scaled) {
      let sum = 0;
      for (let t = 0; t < count; t++) sum += own[t] * feature[t];
      const correlation = sum / count;
      if (Math.abs(correlation) > Math.abs(best.correlation)) {
        best = { unit, feature: name, correlation };
      }
    }
    if (best.feature) ranked.push(best);
  }
  ranked.sort((a, b) => Math.abs(b.correlation) - Math.abs(a.correlation));
  // The clearest unit of each feature first, then the second of each, and so on.
  const seen = {};
  for (const each of ranked) each.place = seen[each.feature] = (seen[each.feature] ?? 0) + 1;
  const isClear = (each) => Math.abs(each.correlation) >= CLEAR;
  return ranked.sort((a, b) => isClear(b) - isClear(a) || (isClear(a) && a.place - b.place)
    || Math.abs(b.correlation) - Math.abs(a.correlation));
}

// Return values with mean 0 and variance 1, or null if they are all alike.
function standardized(values) {
  let sum = 0, squares = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  for (const value of values) squares += (value - mean) ** 2;
  const deviation = Math.sqrt(squares / values.length);
  if (!(deviation > 1e-6)) return null;
  return Float32Array.from(values, (value) => (value - mean) / deviation);
}

export { FEATURES, WINDOW, featuresOf, rankUnits };
