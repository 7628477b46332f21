// @ts-check
/** What the playground shows, as an object and as words of the address: settings, numbers, where one looks. Pure. */

import { check, numInputs, numWeights, outputShape, partners } from "./arithmetic.js";

/** @typedef {import("./arithmetic.js").Settings} Settings */
/** @typedef {import("./arithmetic.js").Place} Place */
/** @typedef {import("./arithmetic.js").Pair} Pair */
/** @typedef {{side: "input" | "output" | "kernel", place: Place}} Spot a cell; a kernel's place is its partner channel and the tap */
/**
 * @typedef {object} State
 * @property {Settings} settings
 * @property {number} channel the output channel that is shown
 * @property {Spot | null} at the chosen cell
 * @property {number | null} step how far the window has slid; null shows all
 * @property {number[] | null} input own numbers, (channels, H, W)
 * @property {number[] | null} weights own numbers, as in PyTorch
 * @property {number[] | null} bias own numbers, one an output channel
 */

export const MOST = /** @type {const} */ ({ size: 16, kernel: 9, stride: 8, padding: 8, dilation: 6, outputPadding: 7, channels: 6, outputs: 6, groups: 6 });
const PAIRS = /** @type {const} */ (["size", "kernel", "stride", "padding", "dilation", "outputPadding"]);
const COUNTS = /** @type {const} */ (["channels", "outputs", "groups"]);
/** @type {Readonly<Record<string, string>>} */
const SHORT = { size: "i", kernel: "k", stride: "s", padding: "p", dilation: "d", outputPadding: "a", channels: "c", outputs: "o", groups: "g" };
const KINDS = /** @type {const} */ (["conv", "transposed", "max", "average"]);
const SOBEL_X = [-1, 0, 1, -2, 0, 2, -1, 0, 1];

/** @type {Settings} */
export const USUAL = {
  kind: "conv", size: [5, 5], kernel: [3, 3], stride: [1, 1], padding: [0, 0], dilation: [1, 1], outputPadding: [0, 0],
  channels: 1, outputs: 1, groups: 1, ceil: false, countPadding: true,
};

/** @type {readonly {title: string, settings: Partial<Settings>}[]} */
export const EXAMPLES = [
  { title: "3 × 3 convolution", settings: {} },
  { title: "Same size: padding 1", settings: { padding: [1, 1] } },
  { title: "Stride 2, a row left over", settings: { size: [6, 6], stride: [2, 2] } },
  { title: "Dilation 2", settings: { size: [7, 7], dilation: [2, 2] } },
  { title: "1 × 1: channels are mixed", settings: { size: [4, 4], kernel: [1, 1], channels: 3, outputs: 2 } },
  { title: "Two groups", settings: { size: [4, 4], channels: 4, outputs: 2, groups: 2 } },
  { title: "Depthwise: each channel by itself", settings: { channels: 3, outputs: 3, groups: 3 } },
  { title: "Upsampling: kernel 2, stride 2", settings: { kind: "transposed", size: [3, 3], kernel: [2, 2], stride: [2, 2] } },
  { title: "Checkerboard: kernel 3, stride 2", settings: { kind: "transposed", size: [3, 3], stride: [2, 2] } },
  { title: "Exactly twice: output padding", settings: { kind: "transposed", size: [3, 3], stride: [2, 2], padding: [1, 1], outputPadding: [1, 1] } },
  { title: "Max pooling 2 × 2", settings: { kind: "max", size: [6, 6], kernel: [2, 2], stride: [2, 2] } },
  { title: "Overlapping pooling, rounded up", settings: { kind: "max", size: [6, 6], stride: [2, 2], ceil: true } },
  { title: "Average pooling with padding", settings: { kind: "average", size: [5, 5], stride: [2, 2], padding: [1, 1] } },
];

/**
 * @param {Partial<Settings>} settings
 * @returns {State}
 */
export const fresh = (settings = {}) => ({ settings: { ...USUAL, ...settings }, channel: 0, at: null, step: null, input: null, weights: null, bias: null });

/**
 * The numbers of the layer: own ones where there are as many as it needs.
 * @param {State} state
 */
export function numbersOf({ settings, input, weights, bias }) {
  return {
    input: fitting(input, numInputs(settings)) ?? usualInput(settings),
    weights: fitting(weights, numWeights(settings)) ?? usualWeights(settings),
    bias: fitting(bias, settings.outputs) ?? Array(settings.outputs).fill(0),
  };
}

/**
 * @param {number[] | null} numbers
 * @param {number} count
 */
const fitting = (numbers, count) => (numbers?.length === count ? numbers : null);

/**
 * Small whole numbers that look like nothing in particular, the same each time.
 * @param {Settings} s
 */
function usualInput(s) {
  const [height, width] = s.size;
  return Array.from({ length: numInputs(s) }, (_, at) => {
    const [c, y, x] = [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
    return (7 * x + 5 * y + 3 * x * y + y * y + 4 * c + 1) % 10;
  });
}

/** @param {Settings} s */
function usualWeights(s) {
  const count = numWeights(s);
  const taps = s.kernel[0] * s.kernel[1];
  if (s.kind === "transposed") return Array.from({ length: count }, (_, at) => ((at % taps) + Math.floor(at / taps)) % 9 + 1);
  const first = s.kernel[0] === 3 && s.kernel[1] === 3 ? SOBEL_X : null;
  return Array.from({ length: count }, (_, at) => (first && at < taps ? first[at] : ((at * 7 + Math.floor(at / taps) * 3 + (at % 3)) % 5) - 1));
}

/**
 * The places the window is at, step by step: outputs of the channel shown; inputs that feed it where transposed.
 * @param {State} state
 * @returns {Spot[]}
 */
export function walk({ settings, channel }) {
  const isUp = settings.kind === "transposed";
  const [height, width] = isUp ? settings.size : outputShape(settings).slice(1);
  const channels = isUp ? partners(settings, channel, true) : [channel];
  const places = channels.flatMap((c) => Array.from({ length: height * width }, (_, at) => /** @type {Place} */ ([c, Math.floor(at / width), at % width])));
  return places.map((place) => ({ side: isUp ? "input" : "output", place }));
}

/**
 * The state as one word of the address, such as "conv~k.3~s.2"; what is usual is left out.
 * @param {State} state
 */
export const toText = (state) => [state.settings.kind, ...Object.entries(toWords(state)).map(([name, value]) => `${name}.${value}`)].join("~");

/**
 * The state that a word of the address says; what it does not say, or says wrongly, is the usual.
 * @param {string} text
 */
export function fromText(text) {
  const [kind, ...parts] = text.split("~");
  return fromWords({ kind, ...Object.fromEntries(parts.map((part) => [part.slice(0, part.indexOf(".")), part.slice(part.indexOf(".") + 1)])) });
}

/**
 * @param {State} state
 * @returns {Record<string, string>}
 */
function toWords({ settings, channel, at, step, input, weights, bias }) {
  /** @type {Record<string, string>} */
  const words = {};
  for (const name of PAIRS) {
    const [y, x] = settings[name];
    if (`${settings[name]}` !== `${USUAL[name]}`) words[SHORT[name]] = y === x ? `${y}` : `${y}x${x}`;
  }
  for (const name of COUNTS) if (settings[name] !== 1) words[SHORT[name]] = `${settings[name]}`;
  if (settings.ceil) words.ceil = "1";
  if (!settings.countPadding) words.pad = "0";
  if (channel) words.ch = `${channel}`;
  if (step !== null) words.step = `${step}`;
  else if (at) words.at = [at.side, ...at.place].join(".");
  for (const [name, numbers] of Object.entries({ x: input, w: weights, b: bias })) if (numbers) words[name] = numbers.join("_").replaceAll("-", "m");
  return words;
}

/**
 * @param {Readonly<Record<string, string | undefined>>} words
 * @returns {State}
 */
function fromWords(words) {
  const kind = KINDS.find((name) => name === words.kind) ?? "conv";
  const settings = { ...USUAL, kind, ceil: words.ceil === "1", countPadding: words.pad !== "0" };
  for (const name of PAIRS) {
    const found = /^(\d{1,2})(?:x(\d{1,2}))?$/.exec(words[SHORT[name]] ?? "");
    if (found) settings[name] = [limited(name, found[1]), limited(name, found[2] ?? found[1])];
  }
  for (const name of COUNTS) if (/^\d{1,2}$/.test(words[SHORT[name]] ?? "")) settings[name] = limited(name, /** @type {string} */ (words[SHORT[name]]));
  const state = { ...fresh(settings), input: list(words.x), weights: list(words.w), bias: list(words.b) };
  if (check(settings)) return state;
  const [outputs] = outputShape(settings);
  state.channel = Math.min(Number(words.ch) || 0, outputs - 1);
  const steps = walk(state).length;
  return { ...state, step: /^\d{1,5}$/.test(words.step ?? "") ? Math.min(Number(words.step), steps - 1) : null, at: spot(state, words.at) };
}

/**
 * @param {keyof typeof MOST} name
 * @param {string} text
 */
const limited = (name, text) => Math.min(Number(text), MOST[name]);

/**
 * @param {string | undefined} text
 * @returns {number[] | null}
 */
function list(text) {
  const numbers = text?.split("_").map((part) => Number(part.replaceAll("m", "-")));
  return numbers?.every(Number.isFinite) ? numbers : null;
}

/**
 * @param {State} state
 * @param {string | undefined} text
 * @returns {Spot | null}
 */
function spot({ settings }, text) {
  const found = /^(input|output|kernel)\.(\d+)\.(\d+)\.(\d+)$/.exec(text ?? "");
  if (!found) return null;
  const side = /** @type {Spot["side"]} */ (found[1]);
  const place = /** @type {Place} */ (found.slice(2).map(Number));
  const limits = { input: [settings.channels, ...settings.size], output: outputShape(settings), kernel: [settings.channels, ...settings.kernel] };
  return place.every((value, axis) => value < limits[side][axis]) ? { side, place } : null;
}
