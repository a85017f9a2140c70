// Choosing the next token: min-p, then temperature, as `charlstm generate` orders them.

// A small generator of random numbers in [0, 1): sfc32, seeded by a number.
function randomFrom(seed) {
  let a = 0x9e3779b9, b = 0x243f6a88, c = seed >>> 0, d = Math.floor(seed / 2 ** 32) ^ 0xb7e15162;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (c << 21) | (c >>> 11);
    c = (c + t) | 0;
    return (t >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 15; i++) next();
  return next;
}

// Choose a token by its log-probability; `allowed(id)` excludes tokens. Returns -1 if none is left.
function choose(logProbabilities, { temperature, minP }, random, allowed) {
  let highest = -Infinity, best = -1;
  for (let id = 0; id < logProbabilities.length; id++) {
    if (logProbabilities[id] > highest && allowed(id)) {
      highest = logProbabilities[id];
      best = id;
    }
  }
  if (best < 0 || temperature === 0) return best;
  const least = minP > 0 ? highest + Math.log(minP) : -Infinity;
  const ids = [], weights = [];
  let sum = 0;
  for (let id = 0; id < logProbabilities.length; id++) {
    const value = logProbabilities[id];
    if (value < least || value === -Infinity || !allowed(id)) continue;
    const weight = Math.exp((value - highest) / temperature);
    ids.push(id);
    weights.push(weight);
    sum += weight;
  }
  let left = random() * sum;
  for (let i = 0; i < ids.length; i++) {
    left -= weights[i];
    if (left < 0) return ids[i];
  }
  return ids.at(-1);
}

// Return the most likely tokens, [[id, log-probability], ...].
function most(logProbabilities, count) {
  const found = [];
  for (let id = 0; id < logProbabilities.length; id++) {
    const value = logProbabilities[id];
    if (found.length === count && value <= found[count - 1][1]) continue;
    let at = found.length;
    while (at > 0 && found[at - 1][1] < value) at--;
    found.splice(at, 0, [id, value]);
    if (found.length > count) found.pop();
  }
  return found;
}

export { choose, most, randomFrom };
