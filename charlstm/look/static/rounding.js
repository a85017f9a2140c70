// Floats to integers, as charlstm's ONNX graph rounds them.

const HIDDEN_LEVELS = 127; // a hidden state h is stored as round(127 h)
const HIDDEN_SCALE = Math.fround(1 / HIDDEN_LEVELS);
const LEAST_SCALE = Math.fround(1e-30); // so that zeros can be divided by their scale

// Round half to even, as ONNX's QuantizeLinear does.
function roundHalfToEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

// Quantize numbers between -1 and 1, from an index on.
function quantize(values, start, out, at, count) {
  for (let i = 0; i < count; i++) {
    const scaled = roundHalfToEven(Math.fround(values[start + i] / HIDDEN_SCALE));
    out[at + i] = scaled < -128 ? -128 : scaled > 127 ? 127 : scaled;
  }
}

// Quantize numbers by the largest of them, which becomes `levels`. Returns the scale.
function quantizeByLargest(values, out, levels) {
  let largest = 0;
  for (let i = 0; i < values.length; i++) largest = Math.max(largest, Math.abs(values[i]));
  const scale = Math.max(Math.fround(largest * Math.fround(1 / levels)), LEAST_SCALE);
  for (let i = 0; i < values.length; i++) out[i] = roundHalfToEven(Math.fround(values[i] / scale));
  return scale;
}

export { HIDDEN_LEVELS, HIDDEN_SCALE, quantize, quantizeByLargest };
