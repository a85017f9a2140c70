// Integer matrix-vector products: int8 rows times an int16 vector, summed in 32 bits. In
// WebAssembly with SIMD, ten times as fast as JavaScript, which is used where there is none. The
// sums are the same.

const STEP = 16; // rows are padded with zeros to a multiple of it

class Products {
  // `shapes`: {name: [rows, columns]}, the matrices to store.
  constructor(shapes) {
    let size = 0;
    const place = (bytes) => {
      const at = size;
      size += Math.ceil(bytes / STEP) * STEP;
      return at;
    };
    const widest = Math.max(...Object.values(shapes).map(([, columns]) => padded(columns)));
    const highest = Math.max(...Object.values(shapes).map(([rows]) => rows));
    const x = place(2 * widest), sums = place(4 * highest);
    this.places = {};
    for (const [name, [rows, columns]] of Object.entries(shapes)) {
      this.places[name] = { at: place(rows * padded(columns)), rows, columns };
    }
    this.multiply = compiled(size);
    const buffer = this.multiply?.memory.buffer ?? new ArrayBuffer(size);
    this.bytes = new Int8Array(buffer);
    this.x = new Int16Array(buffer, x, widest);
    this.sums = new Int32Array(buffer, sums, highest);
    this.at = { x, sums };
  }

  // Copy the rows of a matrix, int8 [rows * columns], to their place.
  store(name, values) {
    const { rows, columns } = this.places[name];
    for (let row = 0; row < rows; row++) {
      this.storeRow(name, row, values.subarray(row * columns, (row + 1) * columns));
    }
  }

  storeRow(name, row, values) {
    const { at, columns } = this.places[name];
    this.bytes.set(values, at + row * padded(columns));
  }

  // Multiply a matrix, or its first rows (at least one), by the first elements of `x`: the results
  // are in `sums`.
  run(name, rows = this.places[name].rows) {
    const { at, columns } = this.places[name];
    const width = padded(columns);
    this.x.fill(0, columns, width);
    if (this.multiply) return this.multiply(at, this.at.x, rows, width, this.at.sums);
    const { bytes, x, sums } = this;
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = 0, p = at + row * width; i < width; i++) sum = (sum + Math.imul(bytes[p + i], x[i])) | 0;
      sums[row] = sum;
    }
  }
}

function padded(columns) {
  return Math.ceil(columns / STEP) * STEP;
}

// Return the product in WebAssembly, with its memory, or null if it is not supported.
function compiled(size) {
  try {
    const memory = new WebAssembly.Memory({ initial: Math.ceil(size / 65536) });
    const module = new WebAssembly.Module(Uint8Array.from(moduleBytes()));
    const { multiply } = new WebAssembly.Instance(module, { here: { memory } }).exports;
    return Object.assign((...given) => multiply(...given), { memory });
  } catch {
    return null;
  }
}

// The module, assembled by hand:
//
//   multiply(row, x, rows, width, out):
//     do {
//       acc = 0; i = x; end = row + width
//       do {
//         w = 16 int8 at row
//         acc += dot(low half of w as int16, 8 int16 at i) + dot(high half, 8 int16 at i + 16)
//         i += 32; row += 16
//       } while (row < end)
//       int32 at out = sum of the four lanes of acc
//       out += 4; rows -= 1
//     } while (rows)
function moduleBytes() {
  const I32 = 0x7f, V128 = 0x7b;
  const [ROW, X, ROWS, WIDTH, OUT, I, END, ACC, W] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
  const get = (local) => [0x20, local], set = (local) => [0x21, local];
  const simd = (...operation) => [0xfd, ...operation];
  const load = (offset) => simd(0x00, 0, offset); // v128.load
  const constant = (value) => [0x41, value], add = [0x6a];
  const increase = (local, by) => [...get(local), ...constant(by), ...add, ...set(local)];
  const LOW = simd(0x87, 1), HIGH = simd(0x88, 1); // i16x8.extend_{low,high}_i8x16_s
  const DOT = simd(0xba, 1), ADD_LANES = simd(0xae, 1); // i32x4.dot_i16x8_s, i32x4.add
  const lane = (number) => [...get(ACC), ...simd(0x1b, number)]; // i32x4.extract_lane
  const loop = (...body) => [0x03, 0x40, ...body.flat(), 0x0b];
  const againIf = (...condition) => [...condition.flat(), 0x0d, 0];
  const code = [
    ...loop(
      [...constant(0), ...simd(0x11), ...set(ACC)], // i32x4.splat
      [...get(X), ...set(I)],
      [...get(ROW), ...get(WIDTH), ...add, ...set(END)],
      loop(
        [...get(ROW), ...load(0), ...set(W)],
        [...get(ACC), ...get(W), ...LOW, ...get(I), ...load(0), ...DOT, ...ADD_LANES],
        [...get(W), ...HIGH, ...get(I), ...load(16), ...DOT, ...ADD_LANES, ...set(ACC)],
        increase(I, 32),
        increase(ROW, STEP),
        againIf(get(ROW), get(END), [0x49]), // i32.lt_u
      ),
      [...get(OUT), ...lane(0), ...lane(1), ...add, ...lane(2), ...add, ...lane(3), ...add],
      [0x36, 2, 0], // i32.store
      increase(OUT, 4),
      [...get(ROWS), ...constant(1), 0x6b, ...set(ROWS)], // i32.sub
      againIf(get(ROWS)),
    ),
    0x0b,
  ];
  const text = (name) => [name.length, ...new TextEncoder().encode(name)];
  const section = (id, content) => [id, ...unsigned(content.length), ...content];
  const body = [2, 2, I32, 2, V128, ...code]; // locals: I and END, ACC and W
  return [
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, [1, 0x60, 5, I32, I32, I32, I32, I32, 0]), // one type: five numbers to nothing
    ...section(2, [1, ...text("here"), ...text("memory"), 2, 0, 1]),
    ...section(3, [1, 0]),
    ...section(7, [1, ...text("multiply"), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ];
}

// LEB128.
function unsigned(value) {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >>> 7)];
}

export { Products };
