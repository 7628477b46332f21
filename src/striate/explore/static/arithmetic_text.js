// @ts-check
/** Convolution arithmetic in words: the formula with its numbers filled in, the line of PyTorch, what it costs. */

import { AXIS_NAMES, hasWeights, numWeights, outputShape, remainder, uses } from "./arithmetic.js";

/** @typedef {import("./arithmetic.js").Settings} Settings */

/** @type {Readonly<Record<import("./arithmetic.js").Kind, string>>} */
export const SYMBOLS = {
  conv: "⌊(i + 2p − d(k − 1) − 1) / s⌋ + 1",
  transposed: "(i − 1)s − 2p + d(k − 1) + a + 1",
  max: "⌊(i + 2p − d(k − 1) − 1) / s⌋ + 1",
  average: "⌊(i + 2p − d(k − 1) − 1) / s⌋ + 1",
};

/**
 * The formula of an output's length, in letters.
 * @param {Settings} s
 */
export const symbols = (s) => (isCeil(s) ? SYMBOLS[s.kind].replace("⌊", "⌈").replace("⌋", "⌉") : SYMBOLS[s.kind]);

/** @param {Settings} s */
const isCeil = (s) => s.ceil && !hasWeights(s.kind);

/**
 * The formula with an axis's numbers filled in.
 * @param {Settings} s
 * @param {0 | 1} axis
 */
export function formula(s, axis) {
  const [i, k, step, p, d] = [s.size[axis], s.kernel[axis], s.stride[axis], s.padding[axis], s.dilation[axis]];
  const length = outputShape(s)[axis + 1];
  if (s.kind === "transposed") return `(${i} − 1)·${step} − 2·${p} + ${d}·(${k} − 1) + ${s.outputPadding[axis]} + 1 = ${length}`;
  const inner = `(${i} + 2·${p} − ${d}·(${k} − 1) − 1) / ${step}`;
  if (!isCeil(s)) return `⌊${inner}⌋ + 1 = ${length}`;
  const rounded = Math.ceil((i + 2 * p - d * (k - 1) - 1) / step) + 1;
  return `⌈${inner}⌉ + 1${rounded > length ? " − 1" : ""} = ${length}`;
}

/**
 * The line of PyTorch that makes the layer.
 * @param {Settings} s
 */
export function code(s) {
  const names = { conv: "Conv2d", transposed: "ConvTranspose2d", max: "MaxPool2d", average: "AvgPool2d" };
  const isPool = !hasWeights(s.kind);
  /** @type {[string, string, string][]} name, value, default */
  const parts = [
    ["kernel_size", short(s.kernel), ""],
    ["stride", short(s.stride), isPool ? short(s.kernel) : "1"],
    ["padding", short(s.padding), "0"],
    ["output_padding", s.kind === "transposed" ? short(s.outputPadding) : "0", "0"],
    ["dilation", short(s.dilation), "1"],
    ["groups", isPool ? "1" : `${s.groups}`, "1"],
    ["ceil_mode", isCeil(s) ? "True" : "False", "False"],
    ["count_include_pad", s.kind === "average" && !s.countPadding ? "False" : "True", "True"],
  ];
  const words = parts.filter(([, value, usual]) => value !== usual).map(([name, value]) => `${name}=${value}`);
  return `torch.nn.${names[s.kind]}(${[...(isPool ? [] : [s.channels, s.outputs]), ...words].join(", ")})`;
}

/** @param {import("./arithmetic.js").Pair} pair */
const short = ([first, second]) => (first === second ? `${first}` : `(${first}, ${second})`);

/**
 * What the layer costs, with a bias: learned numbers, and multiply-adds for one image.
 * @param {Settings} s
 * @returns {{parameters: number, macs: number}}
 */
export function costs(s) {
  if (!hasWeights(s.kind)) return { parameters: 0, macs: 0 };
  const [, height, width] = outputShape(s);
  const places = s.kind === "transposed" ? s.size[0] * s.size[1] : height * width;
  return { parameters: numWeights(s) + s.outputs, macs: numWeights(s) * places };
}

/**
 * Sentences on what is special about these settings: left-over rows, skipped cells, uneven overlap.
 * @param {Settings} s
 * @returns {string[]}
 */
export function remarks(s) {
  const found = [];
  const left = [remainder(s, 0), remainder(s, 1)];
  if (left[0] || left[1]) {
    const parts = [left[0] && several(left[0], "row"), left[1] && several(left[1], "column")].filter((part) => part);
    found.push(`The division leaves a rest: the last ${parts.join(" and the last ")} of the padded input (hatched) ${left[0] + left[1] > 1 ? "are" : "is"} never read.`);
  }
  const counts = [uses(s, 0), uses(s, 1)];
  const holes = counts.some((row) => /[^0]0+[^0]/.test(row.map(Math.sign).join("")));
  if (s.kind !== "transposed" && holes) found.push("Windows step over cells: those hatched inside the input feed no output at all.");
  if (s.kind === "transposed") found.push(...overlaps(s, counts));
  return found;
}

/**
 * @param {Settings} s
 * @param {number[][]} counts
 */
function overlaps(s, counts) {
  const taps = /** @type {const} */ ([0, 1]).map((axis) => {
    const rests = Array.from({ length: s.stride[axis] }, () => 0);
    for (let tap = 0; tap < s.kernel[axis]; tap += 1) rests[(tap * s.dilation[axis]) % s.stride[axis]] += 1;
    return rests;
  });
  const found = [];
  const shape = outputShape(s);
  if (counts.some((row, axis) => row.slice(s.padding[axis], s.padding[axis] + shape[axis + 1]).includes(0))) found.push("Hatched outputs get nothing from any input: only the bias would stand there.");
  const uneven = AXIS_NAMES.filter((_, axis) => new Set(taps[axis]).size > 1);
  if (uneven.length) {
    found.push(`Outputs take unequal numbers of inputs along ${uneven.length > 1 ? "both axes" : `the ${uneven[0]}`}: the cause of checkerboard patterns. A kernel that the stride divides avoids it.`);
  }
  return found;
}

/**
 * @param {number} count
 * @param {string} word
 */
const several = (count, word) => (count === 1 ? word : `${count} ${word}s`);
