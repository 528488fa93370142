// From a picture to the network's input: the steps that `before` in full.onnx's metadata says, in the same arithmetic.
//
// Pillow's resize (Resample.c) mixes 8-bit pixels in two passes, across and down, with weights of 22 binary
// places, and rounds after each; whole numbers of 32 bits do the same here. Without antialiasing each new pixel mixes
// its nearest neighbours, with one rounding at the end.

const BITS = 22;
const { fround } = Math;

/**
 * @typedef {{data: Uint8Array|Uint8ClampedArray, width: number, height: number}} Picture three numbers a pixel, RGB
 */

/** Decode a file as fc7 does: upright, on white, its colour profile ignored. @returns {Promise<Picture>} */
export async function decoded(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const paint = canvas.getContext("2d", { willReadFrequently: true });
  paint.fillStyle = "#fff";
  paint.fillRect(0, 0, bitmap.width, bitmap.height);
  paint.drawImage(bitmap, 0, 0);
  const { data } = paint.getImageData(0, 0, bitmap.width, bitmap.height);
  const rgb = new Uint8Array(bitmap.width * bitmap.height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4) {
    rgb[to++] = data[from];
    rgb[to++] = data[from + 1];
    rgb[to++] = data[from + 2];
  }
  return { data: rgb, width: bitmap.width, height: bitmap.height };
}

const bilinear = (x) => Math.max(0, 1 - Math.abs(x));

/** Catmull and Rom's, with a = -0.5, as Pillow has it; `a` is -0.75 without antialiasing, as PyTorch has it. */
const bicubic = (a) => (x) => {
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? (((d - 5) * d + 8) * d - 4) * a : 0;
};

/** For each new pixel the first old one, and the weights of it and those after it. */
function pillowWeights(size, newSize, spec) {
  const scale = size / newSize;
  const filter = spec.interpolation === "bilinear" ? bilinear : bicubic(-0.5);
  const stretch = Math.max(scale, 1);
  const support = (spec.interpolation === "bilinear" ? 1 : 2) * stretch;
  return Array.from({ length: newSize }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const last = Math.min(size, Math.trunc(centre + support + 0.5));
    const weights = Array.from({ length: last - first }, (_, j) => filter((j + first - centre + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    const whole = weights.map((w) => Math.trunc((w / sum) * 2 ** BITS + (w < 0 ? -0.5 : 0.5)));
    return { first, weights: whole };
  });
}

/** One pass over lines of pixels; `step` is from a pixel of a line to the next, `lines` where each line begins. */
function pass(data, out, weights, lines, step, newLines, newStep) {
  const half = 1 << (BITS - 1);
  lines.forEach((line, number) => {
    const newLine = newLines[number];
    weights.forEach(({ first, weights: some }, i) => {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = half;
        let at = line + first * step + channel;
        for (let j = 0; j < some.length; j += 1, at += step) sum += data[at] * some[j];
        const level = Math.floor(sum / 2 ** BITS);
        out[newLine + i * newStep + channel] = level < 0 ? 0 : level > 255 ? 255 : level;
      }
    });
  });
}

const range = (n, step) => Array.from({ length: n }, (_, i) => i * step);

/** @param {Picture} picture @returns {Picture} */
export function resized(picture, width, height, spec) {
  if (spec.interpolation === "nearest" || !spec.antialias) return sampled(picture, width, height, spec);
  // Pillow 13 begins down where that takes away more than twice as many lines as across; before, it never did.
  const lines = picture.height - height;
  const downFirst = lines > 0 && lines > 2 * (picture.width - width);
  return downFirst
    ? across(down(picture, height, spec), width, spec)
    : down(across(picture, width, spec), height, spec);
}

function across(picture, width, spec) {
  const { data, height } = picture;
  if (width === picture.width) return picture;
  const out = new Uint8Array(width * height * 3);
  const weights = pillowWeights(picture.width, width, spec);
  pass(data, out, weights, range(height, picture.width * 3), 3, range(height, width * 3), 3);
  return { data: out, width, height };
}

function down(picture, height, spec) {
  const { data, width } = picture;
  if (height === picture.height) return picture;
  const out = new Uint8Array(width * height * 3);
  const weights = pillowWeights(picture.height, height, spec);
  pass(data, out, weights, range(width, 3), width * 3, range(width, 3), width * 3);
  return { data: out, width, height };
}

function taps(size, newSize, interpolation) {
  return Array.from({ length: newSize }, (_, i) => {
    if (interpolation === "nearest") return [[Math.floor(((2 * i + 1) * size) / (2 * newSize)), 1]];
    const position = (i + 0.5) * (size / newSize) - 0.5;
    const base = Math.floor(position);
    const filter = interpolation === "bilinear" ? bilinear : bicubic(-0.75);
    const offsets = interpolation === "bilinear" ? [0, 1] : [-1, 0, 1, 2];
    return offsets.map((offset) => [Math.min(size - 1, Math.max(0, base + offset)), fround(filter(position - base - offset))]);
  });
}

function sampled(picture, width, height, spec) {
  const rows = taps(picture.height, height, spec.interpolation);
  const columns = taps(picture.width, width, spec.interpolation);
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (const [row, down] of rows[y]) {
          let line = 0;
          for (const [column, across] of columns[x]) {
            line = fround(line + fround(picture.data[(row * picture.width + column) * 3 + channel] * across));
          }
          sum = fround(sum + fround(line * down));
        }
        data[(y * width + x) * 3 + channel] = Math.min(255, Math.max(0, Math.floor(fround(sum + 0.5))));
      }
    }
  }
  return { data, width, height };
}

/** As Python rounds: halves to even. */
function toEven(x) {
  const floor = Math.floor(x);
  if (x - floor !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}

function meanColour(spec, small) {
  if (spec.image_mean) {
    const level = toEven(small.data.reduce((a, b) => a + b, 0) / small.data.length);
    return [level, level, level];
  }
  const mean = spec.channel_order === "BGR" ? [...spec.mean].reverse() : spec.mean;
  return mean.map((level) => Math.min(255, Math.max(0, toEven(level / spec.scale))));
}

/** The whole picture at the size that views are cut from. @returns {Picture} */
function framed(picture, spec) {
  const { resize_width: width, resize_height: height } = spec;
  if (spec.resize === "warp") return resized(picture, width, height, spec);
  if (spec.resize === "short") {
    const across = Math.max(width, Math.trunc((height * picture.width) / picture.height));
    const down = Math.max(height, Math.trunc((width * picture.height) / picture.width));
    return resized(picture, across, down, spec);
  }
  const scale = Math.min(height / picture.height, width / picture.width);
  const fit = (side, room) => Math.min(room, Math.max(1, toEven(side * scale)));
  const small = resized(picture, fit(picture.width, width), fit(picture.height, height), spec);
  const data = new Uint8Array(width * height * 3);
  const colour = meanColour(spec, small);
  for (let i = 0; i < data.length; i += 1) data[i] = colour[i % 3];
  const left = Math.floor((width - small.width) / 2);
  const top = Math.floor((height - small.height) / 2);
  for (let y = 0; y < small.height; y += 1) {
    data.set(small.data.subarray(y * small.width * 3, (y + 1) * small.width * 3), ((y + top) * width + left) * 3);
  }
  return { data, width, height };
}

/** The views of a picture, one after another: shape (crops, crop_height, crop_width, 3). */
export function prepared(picture, spec) {
  const whole = framed(picture, spec);
  const [width, height] = [spec.crop_width, spec.crop_height];
  const [right, bottom] = [whole.width - width, whole.height - height];
  const half = spec.resize === "short" ? (room) => toEven(room / 2) : (room) => Math.floor(room / 2);
  const centre = [half(right), half(bottom)];
  const corners = spec.crops === 1 ? [centre] : [[0, 0], [right, 0], [0, bottom], [right, bottom], centre];
  const size = width * height * 3;
  const views = new Uint8Array(size * spec.crops);
  corners.forEach(([left, top], number) => {
    for (let y = 0; y < height; y += 1) {
      const from = ((y + top) * whole.width + left) * 3;
      views.set(whole.data.subarray(from, from + width * 3), number * size + y * width * 3);
    }
  });
  if (spec.crops === 10) {
    for (let i = 0; i < 5 * width * height; i += 1) {
      const [line, x] = [Math.floor(i / width), i % width];
      const from = (line * width + (width - 1 - x)) * 3;
      for (let channel = 0; channel < 3; channel += 1) views[5 * size + i * 3 + channel] = views[from + channel];
    }
  }
  return views;
}
