// The int8 network, one token at a time. Rounds as charlstm's ONNX graph does: a hidden state is
// stored as round(127 h), sums are integers, everything else is float32.

import { Attention } from "./attention.js";
import { Products } from "./product.js";
import { quantize } from "./rounding.js";

const MOST_INPUTS = 2 ** 22; // numbers in the cached inputs of layer 0

const QUANTITIES = ["cell", "hidden", "forget", "input", "output", "candidate"];

// What a network remembers of a text.
class State {
  // `cells`: float32 [2 * layers * units]: each layer's hidden state, then each layer's cell.
  // `window`: with attention, the last outputs of the top layer, int8 [units] each, which never
  // change. Output `n` of the document is at `n` modulo the length of a full window.
  // `count`: the number of outputs of the document so far.
  constructor(cells, window = [], count = 0) {
    Object.assign(this, { cells, window, count });
  }

  copy() {
    return new State(this.cells.slice(), this.window.slice(), this.count);
  }

  // Return to the start of a text.
  clear() {
    this.cells.fill(0);
    this.window = [];
    this.count = 0;
  }
}

class Engine {
  // `model`: {layers, units, embedding, vocabSize, attention, keyWidth, shiftedKeys, roundsInput}; `tensors`: typed
  // arrays by name (see charlstm.look.weights).
  constructor(model, tensors) {
    Object.assign(this, model);
    this.tensors = tensors;
    const { units, layers, vocabSize, embedding } = this;
    const shapes = { output_rows: [vocabSize, units] };
    for (let layer = 0; layer < layers; layer++) {
      shapes[`rows_${layer}`] = [4 * units, layer ? 2 * units : units];
    }
    if (tensors.kernel_rows) shapes.kernel_rows = [4 * units, embedding];
    if (model.attention) Object.assign(shapes, Attention.shapes(model));
    this.products = new Products(shapes);
    for (const name of Object.keys(shapes)) {
      if (!tensors[name]) continue;
      this.products.store(name, tensors[name]);
      delete tensors[name];
    }
    this.attention = model.attention ? new Attention(model, tensors, this.products) : null;
    this.inputs = new Map(); // id -> the input of layer 0
    this.gates = new Float32Array(4 * units);
    this.logits = new Float32Array(vocabSize);
  }

  newState() {
    return new State(new Float32Array(2 * this.layers * this.units));
  }

  // Read one token: `state` changes in place. Returns the logits, which the next step overwrites.
  // `watch(layer, gates, cells, cellStart, hiddens, hiddenStart)` sees each layer; the gates are
  // input, forget, output, candidate, [4 * units].
  step(state, id, watch) {
    const { units, layers, tensors, gates, products } = this;
    const { x, sums } = products;
    const { cells } = state;
    for (let layer = 0; layer < layers; layer++) {
      const hiddenAt = layer * units, cellAt = (layers + layer) * units;
      const width = layer ? 2 * units : units;
      if (layer) quantize(cells, hiddenAt - units, x, 0, units);
      quantize(cells, hiddenAt, x, width - units, units);
      products.run(`rows_${layer}`);
      const scales = tensors[`scales_${layer}`];
      for (let i = 0; i < 4 * units; i++) gates[i] = Math.fround(sums[i]) * scales[i];
      if (layer) {
        const bias = tensors[`bias_${layer}`];
        for (let i = 0; i < 4 * units; i++) gates[i] += bias[i];
      } else {
        this._addInput(id);
      }
      for (let i = 0; i < 3 * units; i++) gates[i] = 1 / (1 + Math.exp(-gates[i]));
      for (let i = 3 * units; i < 4 * units; i++) gates[i] = Math.tanh(gates[i]);
      for (let i = 0; i < units; i++) {
        const kept = Math.fround(gates[units + i] * cells[cellAt + i]);
        const added = Math.fround(gates[i] * gates[3 * units + i]);
        const cell = Math.fround(kept + added);
        cells[cellAt + i] = cell;
        cells[hiddenAt + i] = gates[2 * units + i] * Math.fround(Math.tanh(cell));
      }
      if (watch) watch(layer, gates, cells, cellAt, cells, hiddenAt);
    }
    quantize(cells, (layers - 1) * units, x, 0, units);
    const scale = this.attention ? this.attention.step(state, cells, (layers - 1) * units) : 1;
    products.run("output_rows");
    const { output_scales: scales, output_bias: bias } = tensors;
    const { logits } = this;
    for (let i = 0; i < logits.length; i++) {
      const product = Math.fround(Math.fround(sums[i]) * scales[i]);
      logits[i] = Math.fround(product * scale) + bias[i];
    }
    return logits;
  }

  // Add the input of layer 0 for a token, embedding x kernel + bias. Rows are cached, because most
  // texts repeat few tokens.
  _addInput(id) {
    const { gates } = this;
    let row = this.inputs.get(id);
    if (!row) {
      row = this._input(id);
      if (this.inputs.size * row.length >= MOST_INPUTS) this.inputs.clear();
      this.inputs.set(id, row);
    }
    for (let i = 0; i < row.length; i++) gates[i] += row[i];
  }

  // The three ways are those of charlstm.look.weights.
  _input(id) {
    const { tensors, embedding, products, roundsInput } = this;
    const width = this.gates.length;
    const { table, kernel, embeddings, bias_0: bias } = tensors;
    if (table) return table.subarray(id * width, (id + 1) * width);
    const row = new Float32Array(width);
    const own = embeddings.subarray(id * embedding, (id + 1) * embedding);
    if (kernel) {
      for (let i = 0; i < width; i++) {
        let sum = 0;
        for (let j = 0, at = i * embedding; j < embedding; j++) sum += kernel[at + j] * own[j];
        row[i] = sum + bias[i];
      }
    } else {
      const { embedding_scales, kernel_scales } = tensors;
      products.x.set(own);
      products.run("kernel_rows");
      for (let i = 0; i < width; i++) {
        const sum = Math.fround(Math.fround(products.sums[i]) * kernel_scales[i]);
        row[i] = Math.fround(sum * embedding_scales[id]) + bias[i];
      }
    }
    return roundsInput ? row.map(roundedToHalf) : row;
  }
}

// Round a float32 to the 11 bits of a float16 (Veltkamp's splitting). Too small ones keep more.
function roundedToHalf(value) {
  const large = Math.fround(value * 8193); // 2^13 + 1
  return Math.fround(large - Math.fround(large - value));
}

// Return log(sum(exp(logits))), to be subtracted from logits for log-probabilities in nats.
function logSum(logits) {
  let highest = -Infinity, sum = 0;
  for (let i = 0; i < logits.length; i++) if (logits[i] > highest) highest = logits[i];
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - highest);
  return highest + Math.log(sum);
}

// Return log-probabilities in nats, float64 [V].
function logSoftmax(logits) {
  const sum = logSum(logits);
  return Float64Array.from(logits, (value) => value - sum);
}

// Take a model apart: a length, a JSON header of that length, and the bytes of its tensors.
function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const kinds = { int8: Int8Array, float32: Float32Array, uint16: Uint16Array };
  const tensors = {};
  for (const [name, [kind, start, count]] of Object.entries(header.tensors)) {
    const at = bytes.byteOffset + 4 + length + start;
    const Kind = kinds[kind] ?? Uint16Array;
    const size = count * Kind.BYTES_PER_ELEMENT;
    const data = new Kind(bytes.buffer.slice(at, at + size));
    tensors[name] = kind === "float16" ? Float32Array.from(data, halfToFloat) : data;
  }
  return { header, tensors };
}

function halfToFloat(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

export { Engine, QUANTITIES, State, logSoftmax, logSum, roundedToHalf, unpack };
