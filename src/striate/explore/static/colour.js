// Colours of values: viridis for amounts, blue-white-red centred at 0 for signs; pixels that are no number are grey.

const VIRIDIS = "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725";
const SIGNED = "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f";
const GREY = "000000 ffffff";
export const NONE = [128, 128, 128];

/** @param {string} anchors */
function ramp(anchors) {
  const stops = anchors.split(" ").map((text) => [0, 2, 4].map((at) => parseInt(text.slice(at, at + 2), 16)));
  const colours = new Uint8Array(256 * 3);
  for (let level = 0; level < 256; level++) {
    const place = (level / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    for (let part = 0; part < 3; part++) {
      const [a, b] = [stops[left][part], stops[left + 1][part]];
      colours[3 * level + part] = Math.round(a + (b - a) * (place - left));
    }
  }
  return colours;
}

/** @type {Record<string, Uint8Array>} 256 colours each */
export const RAMPS = { viridis: ramp(VIRIDIS), signed: ramp(SIGNED), grey: ramp(GREY) };

/**
 * The ramp and the two ends for values between low and high: signed values get a ramp that is centred at 0.
 * @param {number} low
 * @param {number} high
 * @param {string} [name] of a ramp
 */
export function scaleFor(low, high, name) {
  const ramp = name || (low < 0 ? "signed" : "viridis");
  const side = Math.max(Math.abs(low), Math.abs(high));
  return ramp === "signed" ? { ramp, low: -side, high: side } : { ramp, low, high };
}

/**
 * The level (0 to 255) of a value on a scale.
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function levelOf(value, low, high) {
  const level = high > low ? Math.round((255 * (value - low)) / (high - low)) : 128;
  return Math.min(255, Math.max(0, level));
}

/**
 * Paint values (h, w) on a canvas, one pixel a value; style it to any size.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} values
 * @param {number} height
 * @param {number} width
 * @param {{ ramp: string, low: number, high: number }} scale
 */
export function paint(canvas, values, height, width, scale) {
  const pixels = new ImageData(width, height);
  const colours = RAMPS[scale.ramp];
  for (let at = 0; at < height * width; at++) {
    const value = values[at];
    const level = 3 * levelOf(value, scale.low, scale.high);
    const known = Number.isFinite(value);
    for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = known ? colours[level + part] : NONE[part];
    pixels.data[4 * at + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
}

/**
 * Paint planes (3 or 1, h, w) of levels 0 to 255.
 * @param {HTMLCanvasElement} canvas
 * @param {ArrayLike<number>} planes
 * @param {number[]} shape
 */
export function paintImage(canvas, planes, [channels, height, width]) {
  const pixels = new ImageData(width, height);
  const size = height * width;
  for (let at = 0; at < size; at++) {
    for (let part = 0; part < 3; part++) pixels.data[4 * at + part] = planes[(channels === 3 ? part : 0) * size + at];
    pixels.data[4 * at + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
}

/**
 * The colour of a value as CSS, and the ink that can be read on it.
 * @param {number} value
 * @param {{ ramp: string, low: number, high: number }} scale
 */
export function cssOf(value, scale) {
  const level = 3 * levelOf(value, scale.low, scale.high);
  const [r, g, b] = Number.isFinite(value) ? RAMPS[scale.ramp].slice(level, level + 3) : NONE;
  const light = [r, g, b].map((part) => (part <= 10.3 ? part / 3294.6 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2];
  return { back: `rgb(${r} ${g} ${b})`, ink: luminance > 0.179 ? "#000" : "#fff" };
}
