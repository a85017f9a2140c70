// Attention over the last outputs of the top layer, with the integers of the int8 graph (see
// charlstm.engine.attention_graph).

import { HIDDEN_LEVELS, HIDDEN_SCALE, quantize, quantizeByLargest } from "./rounding.js";

const LARGEST_SHARE = 255; // the integer that the largest share is stored as

class Attention {
  // The matrices that `Products` must store, {name: [rows, columns]}. "window" is not a tensor.
  static shapes({ units, attention, keyWidth }) {
    return {
      query_rows: [keyWidth, units],
      added_rows: [units, units],
      window: [attention, units],
    };
  }

  // `model` and `tensors` are those of `Engine`.
  constructor({ units, attention, keyWidth, shiftedKeys }, tensors, products) {
    Object.assign(this, { units, reach: attention, shiftedKeys, tensors, products });
    this.placed = new Array(attention); // the outputs that the matrix "window" contains
    this.projected = new Float32Array(keyWidth);
    this.query = new Float32Array(units);
    this.found = new Float32Array(attention); // the scores of keys, by the place of their outputs
    this.scores = new Float32Array(attention); // the scores of values
    this.levels = new Uint8Array(attention);
    this.means = new Int32Array(units);
    this.context = new Float32Array(units);
    this.attended = new Float32Array(units);
    // The share of each output of the last step, the latest output first; 0 outside the document.
    this.shares = new Float32Array(attention);
  }

  // Attend from the output of a step, `units` numbers of `values` from `start` on, whose integers
  // are in `products.x`. The window of `state` moves by this output. Leaves the integers of the
  // result in `products.x` and returns their scale.
  step(state, values, start) {
    const { reach, units, tensors, products, attended, found, shiftedKeys } = this;
    const { x, sums } = products, { added_scales: scales } = tensors;
    const latest = Int8Array.from(x.subarray(0, units));
    if (shiftedKeys) this._score(state.window, found);
    state.window[state.count % reach] = latest;
    state.count++;
    const filled = Math.min(state.count, reach);
    const scores = this.scores.subarray(0, filled);
    if (!shiftedKeys) this._score(state.window, found);
    for (let n = state.count - filled; n < state.count; n++) {
      const key = shiftedKeys ? n - 1 : n; // none comes before the first output of a document
      scores[n % reach] = key < 0 ? 0 : found[key % reach];
    }
    toShares(scores);
    this.shares.fill(0);
    for (let place = 0; place < filled; place++) {
      this.shares[(state.count - 1 - place) % reach] = scores[place];
    }
    this._mean(state.window, scores);
    products.run("added_rows");
    for (let i = 0; i < units; i++) {
      attended[i] = values[start + i] + Math.fround(Math.fround(sums[i]) * scales[i]);
    }
    return quantizeByLargest(attended, x, HIDDEN_LEVELS);
  }

  // Score each output of a window. The query is in the space of outputs, so there are no keys.
  // Takes the integers of the output that asks from `products.x`, and overwrites them.
  _score(window, scores) {
    const { tensors, products, projected, query, placed } = this;
    const { x, sums } = products, { query_scales, keys } = tensors;
    const width = projected.length;
    if (!window.length) return;
    products.run("query_rows");
    for (let i = 0; i < width; i++) projected[i] = Math.fround(sums[i]) * query_scales[i];
    for (let i = 0, at = 0; i < query.length; i++, at += width) {
      let sum = 0;
      for (let j = 0; j < width; j++) sum += keys[at + j] * projected[j];
      query[i] = sum;
    }
    const scale = Math.fround(quantizeByLargest(query, x, HIDDEN_LEVELS) * HIDDEN_SCALE);
    for (let place = 0; place < window.length; place++) {
      if (placed[place] === window[place]) continue;
      placed[place] = window[place];
      products.storeRow("window", place, placed[place]);
    }
    products.run("window", window.length);
    for (let place = 0; place < window.length; place++) scores[place] = Math.fround(sums[place]) * scale;
  }

  // Put the integers of the weighted mean of a window into `products.x`.
  _mean(window, shares) {
    const { levels, means, context, units } = this;
    const scale = Math.fround(quantizeByLargest(shares, levels, LARGEST_SHARE) * HIDDEN_SCALE);
    means.fill(0);
    for (let place = 0; place < shares.length; place++) {
      const level = levels[place], output = window[place];
      if (!level) continue; // most shares are too small
      for (let i = 0; i < units; i++) means[i] += level * output[i];
    }
    for (let i = 0; i < units; i++) context[i] = Math.fround(means[i]) * scale;
    quantize(context, 0, this.products.x, 0, units);
  }
}

// Replace scores by their softmax.
function toShares(scores) {
  let highest = -Infinity, sum = 0;
  for (const score of scores) highest = Math.max(highest, score);
  for (let i = 0; i < scores.length; i++) {
    scores[i] = Math.exp(Math.fround(scores[i] - highest));
    sum += scores[i];
  }
  for (let i = 0; i < scores.length; i++) scores[i] /= Math.fround(sum);
}

export { Attention };
