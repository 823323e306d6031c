// The model of the page: this browser translates, with the files beside the page.
const MAX_BYTES = 256 << 20, MAX_PIXELS = 80e6, MAX_SIDE = 2048;
const RUNTIME = "./ort.wasm.bundle.min.js";

let metadata;         // about.json
const sessions = {};  // promises of the loaded programs, by direction

const model = {
  privacy:
    "A picture stays in this browser. Pictures of 16 bits and TIFF need discogan translate. " +
    "Runs on ONNX Runtime Web (MIT License).",

  async about() {
    try {
      metadata = await (await fetch("about.json")).json();
    } catch {
      throw new Error(
        "The page does not find its files. Opened as a file it is not allowed to read them: " +
        "start python -m http.server in its folder. On a server, all of the folder is needed."
      );
    }
    const { domains, directions } = metadata;
    const route = (path) => [...path].map((domain) => domains["ab".indexOf(domain)]).join(" → ");
    const labels = (way) => [way[0], way, ...(directions.includes(way[1] + way[0]) ? [way + way[0]] : [])].map(route);
    return {
      domains,
      directions: Object.fromEntries(directions.map((way) => [way, labels(way)])),
      steps: [],
      size: sizeOf(metadata.preparation[directions[0][0]]),
      prepared: metadata.preprocessing,
      examples: [],
      kinds: ["AVIF", "BMP", "GIF", "JPEG", "PNG", "WEBP"],
      max_bytes: MAX_BYTES,
      max_pixels: MAX_PIXELS,
      at_once: 1,
      has_login: false,
    };
  },

  async translate(file, direction, _, signal) {
    const picture = await decoded(file);
    const preparation = metadata.preparation[direction[0]];
    const shown = [prepared(picture, preparation)];
    for (const way of [direction, direction[1] + direction[0]]) {
      if (!metadata.directions.includes(way)) continue;
      const session = await program(way);
      signal.throwIfAborted();
      shown.push(await translated(session, shown.at(-1)));
    }
    const longer = Math.max(picture.height, picture.width);
    const to = longer > MAX_SIDE ? MAX_SIDE : null;
    const pictures = shown.map((x) => url(restored(x, preparation.fit ?? "crop", picture, to)));
    return { step: metadata.step, pictures };
  },
};

// An image has height, width, channels and bytes, row by row.
const image = (height, width, channels) =>
  ({ height, width, channels, bytes: new Uint8ClampedArray(height * width * channels) });

function sizeOf(preparation) {
  const [height, width = height] = String(preparation.size).split("x").map(Number);
  return [height, width];
}

// Files

// Reads a picture as RGB: upright, transparency on white, colours as the file has them.
async function decoded(file) {
  const head = new Uint8Array(await file.slice(0, 32).arrayBuffer());
  const begins = (...bytes) => bytes.every((byte, i) => head[i] === byte);
  if (begins(0x49, 0x49) || begins(0x4d, 0x4d)) throw new Error("It is a TIFF, which this page does not take.");
  if (begins(0x89, 0x50, 0x4e, 0x47) && head[24] > 8)
    throw new Error("It has 16 bits, which browsers cut down to 8: discogan translate takes it.");
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error("This browser cannot read it: it is no picture, of another kind, or damaged.");
  }
  const { height, width } = bitmap;
  if (height * width > MAX_PIXELS) throw new Error(`It is too large: ${width}×${height} pixels.`);
  const context = canvas(height, width).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = context.getImageData(0, 0, width, height).data;
  const picture = image(height, width, 3);
  for (let i = 0, j = 0; i < rgba.length; i++) if (i % 4 < 3) picture.bytes[j++] = rgba[i];
  return picture;
}

const canvas = (height, width) => Object.assign(document.createElement("canvas"), { height, width });

function url({ height, width, channels, bytes }) {
  const rgba = new ImageData(width, height);
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) rgba.data[4 * i + c] = bytes[channels * i + (channels === 3 ? c : 0)];
    rgba.data[4 * i + 3] = 255;
  }
  const drawn = canvas(height, width);
  drawn.getContext("2d").putImageData(rgba, 0, 0);
  return drawn.toDataURL();
}

// The network

async function load(direction) {
  const ort = await import(RUNTIME);
  ort.env.wasm.numThreads = 1;  // more need headers that few static servers send
  const session = await ort.InferenceSession.create(`${direction}.onnx`);
  return async (bytes, shape) => (await session.run({ images: new ort.Tensor("uint8", bytes, shape) })).translated;
}

function program(direction) {
  sessions[direction] ??= load(direction).catch((error) => {
    delete sessions[direction];  // the next picture tries again
    const why = new Error(`The model could not be loaded: ${error.message}`);
    throw Object.assign(why, { mayHelpAgain: true });
  });
  return sessions[direction];
}

async function translated(run, { height, width, channels, bytes }) {
  const made = await run(new Uint8Array(bytes.buffer), [1, height, width, channels]);
  if (!made.data.every(Number.isFinite)) throw new Error("The model makes no picture of this one.");
  const result = image(height, width, channels);
  made.data.forEach((x, i) => (result.bytes[i] = Math.fround(x * 255)));  // clamps, rounds half to even
  return result;
}

// Preparation, as discogan_jax.images has it: to the last bit, where the decoded pixels are the same.

function prepared(picture, { channels = 3, fit = "crop", resample = "hamming", ...preparation }) {
  if (channels === 1) picture = grey(picture);
  const [height, width] = sizeOf(preparation);
  if (fit === "stretch") return resized(picture, height, width, resample);
  if (fit === "crop") return resized(centre(picture, ...part(picture, height, width)), height, width, resample);
  const inner = resized(picture, ...within(picture, height, width), resample);
  const result = image(height, width, channels);
  const colour = borderColour(picture);
  for (let i = 0; i < result.bytes.length; i++) result.bytes[i] = colour[i % channels];
  const top = (height - inner.height) >> 1, left = (width - inner.width) >> 1, row = inner.width * channels;
  for (let y = 0; y < inner.height; y++)
    result.bytes.set(inner.bytes.subarray(y * row, (y + 1) * row), ((top + y) * width + left) * channels);
  return result;
}

// Brings a translation back to the shape of its picture, the longer side being `to`, if given.
function restored(made, fit, picture, to) {
  const fitted = [made.height, made.width];
  const shape = fit === "crop" ? part(picture, ...fitted) : [picture.height, picture.width];
  if (fit === "pad") made = centre(made, ...within(picture, ...fitted));
  const scale = to ? to / Math.max(...shape) : 1;
  const [height, width] = shape.map((side) => Math.max(1, rint(side * scale)));
  return resized(made, height, width, "hamming", "bicubic");
}

// Rounds half to even.
function rint(x) {
  const up = Math.floor(x + 0.5);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}

function grey({ height, width, bytes }) {
  const result = image(height, width, 1);
  for (let i = 0, j = 0; i < result.bytes.length; i++, j += 3)
    result.bytes[i] = (bytes[j] * 19595 + bytes[j + 1] * 38470 + bytes[j + 2] * 7471 + 0x8000) >> 16;
  return result;
}

// The size of the largest part that has the shape h × w.
function part({ height, width }, h, w) {
  if (width * h >= height * w) return [height, Math.max(1, rint((height * w) / h))];
  return [Math.max(1, rint((width * h) / w)), width];
}

// The largest size of a picture's shape that has room in h × w.
function within({ height, width }, h, w) {
  const scale = Math.min(h / height, w / width);
  return [height, width].map((side) => Math.max(1, rint(side * scale)));
}

function centre(picture, height, width) {
  const { channels } = picture, result = image(height, width, channels);
  const top = (picture.height - height) >> 1, left = (picture.width - width) >> 1;
  for (let y = 0; y < height; y++) {
    const from = ((top + y) * picture.width + left) * channels;
    result.bytes.set(picture.bytes.subarray(from, from + width * channels), y * width * channels);
  }
  return result;
}

// The colour of the outermost pixels if nearly all have it, else white.
function borderColour({ height, width, channels, bytes }) {
  const border = [];
  const add = (y, x) => border.push(bytes.subarray((y * width + x) * channels, (y * width + x + 1) * channels));
  for (let x = 0; x < width; x++) add(0, x), add(height - 1, x);
  for (let y = 1; y < height - 1; y++) add(y, 0), add(y, width - 1);
  const colour = Array.from({ length: channels }, (_, c) => {
    const sorted = border.map((pixel) => pixel[c]).sort((a, b) => a - b);
    return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  });
  const alike = border.filter((pixel) => colour.every((value, c) => Math.abs(pixel[c] - value) <= 8));
  return alike.length / border.length >= 0.9 ? colour.map(Math.floor) : colour.fill(255);
}

// Resizing as Pillow does it: antialiased, each axis by its own filter, in whole numbers.

// Reach and weight of each filter, by distance in pixels.
const FILTERS = {
  box: [0.5, (x) => (x > -0.5 && x <= 0.5 ? 1 : 0)],
  bilinear: [1, (x) => Math.max(0, 1 - Math.abs(x))],
  hamming: [1, (x) => {
    x = Math.abs(x) * Math.PI;
    if (x === 0) return 1;
    return x < Math.PI ? (Math.sin(x) / x) * (0.54 + 0.46 * Math.cos(x)) : 0;
  }],
  bicubic: [2, (x) => {
    x = Math.abs(x);
    if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  }],
};
const BITS = 22;

function resized(picture, height, width, resample, growing = "bilinear") {
  const { height: h, width: w } = picture;
  if (h === height && w === width) return picture;
  if (resample === "area" && h % height === 0 && w % width === 0) return means(picture, h / height, w / width);
  const filter = (from, to) => FILTERS[to >= from ? growing : resample === "area" ? "box" : resample];
  const wide = w === width ? picture : alongRows(picture, width, filter(w, width));
  return h === height ? wide : alongColumns(wide, height, filter(h, height));
}

// For each pixel of the result, the first pixel that it sees and the weights from there on.
function windows(from, to, [reach, weight]) {
  const scale = from / to, shrink = Math.max(scale, 1), support = reach * shrink;
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(middle - support + 0.5));
    const end = Math.min(from, Math.trunc(middle + support + 0.5));
    const weights = [];
    for (let x = first; x < end; x++) weights.push(weight((x - middle + 0.5) * (1 / shrink)));
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map((x) => Math.trunc((x / sum) * 2 ** BITS + (x < 0 ? -0.5 : 0.5)));
    return { first, weights: Int32Array.from(whole) };
  });
}

function alongRows({ height, width, channels, bytes }, to, filter) {
  const result = image(height, to, channels);
  windows(width, to, filter).forEach(({ first, weights }, x) => {
    for (let y = 0; y < height; y++)
      for (let c = 0; c < channels; c++) {
        let sum = 1 << (BITS - 1), at = (y * width + first) * channels + c;
        for (let i = 0; i < weights.length; i++, at += channels) sum += bytes[at] * weights[i];
        result.bytes[(y * to + x) * channels + c] = sum >> BITS;
      }
  });
  return result;
}

function alongColumns({ height, width, channels, bytes }, to, filter) {
  const result = image(to, width, channels), row = width * channels;
  windows(height, to, filter).forEach(({ first, weights }, y) => {
    for (let x = 0; x < row; x++) {
      let sum = 1 << (BITS - 1), at = first * row + x;
      for (let i = 0; i < weights.length; i++, at += row) sum += bytes[at] * weights[i];
      result.bytes[y * row + x] = sum >> BITS;
    }
  });
  return result;
}

// The mean of each block of pixels.
function means({ height, width, channels, bytes }, high, wide) {
  const result = image(height / high, width / wide, channels);
  const half = (high * wide) >> 1, factor = Math.floor(2 ** 24 / (high * wide));
  for (let y = 0; y < result.height; y++)
    for (let x = 0; x < result.width; x++)
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let i = 0; i < high; i++)
          for (let j = 0; j < wide; j++) sum += bytes[((y * high + i) * width + x * wide + j) * channels + c];
        result.bytes[(y * result.width + x) * channels + c] = Math.floor((sum * factor) / 2 ** 24);
      }
  return result;
}
