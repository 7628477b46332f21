// @ts-check
/**
 * Convolution arithmetic: sizes, who feeds whom and the numbers themselves, for two axes. Pure functions of settings
 * and numbers: no document, no state.
 *
 * A place is [channel, y, x]. Numbers lie flat: the input as (channels, H, W), a convolution's weights as
 * (outputs, channels / groups, kernel H, kernel W), a transposed convolution's as (channels, outputs / groups, kernel
 * H, kernel W), as in PyTorch.
 *
 * Reference: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, arXiv:1603.07285 (2016).
 */

/** @typedef {"conv" | "transposed" | "max" | "average"} Kind */
/** @typedef {[number, number]} Pair height and width */
/** @typedef {[number, number, number]} Place channel, y, x */
/**
 * @typedef {object} Settings
 * @property {Kind} kind
 * @property {Pair} size of the input
 * @property {Pair} kernel
 * @property {Pair} stride
 * @property {Pair} padding at each end
 * @property {Pair} dilation
 * @property {Pair} outputPadding of a transposed convolution
 * @property {number} channels of the input
 * @property {number} outputs channels of the output; pooling keeps the input's
 * @property {number} groups
 * @property {boolean} ceil whether a last pooling window that is partly outside counts
 * @property {boolean} countPadding whether padded zeros count in a mean
 */
/**
 * @typedef {object} Term one input of an output, or one output of an input
 * @property {Place} place
 * @property {Pair} tap of the kernel
 * @property {number} weight its index, -1 for pooling
 * @property {boolean} inside whether the place exists; it is padding where not
 */
/** @typedef {{field: string, text: string}} Problem */

const AXES = /** @type {const} */ ([0, 1]);
export const AXIS_NAMES = /** @type {const} */ (["height", "width"]);
const LEAST = /** @type {const} */ ({ size: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, outputPadding: 0 });
/** @type {Readonly<Record<string, string>>} */
const WORDS = { size: "input", outputPadding: "output padding" };

/** @param {Kind} kind */
export const hasWeights = (kind) => kind === "conv" || kind === "transposed";

/**
 * Inputs from the first tap of the kernel to the last, both included.
 * @param {Settings} s
 * @param {number} axis
 */
export const span = (s, axis) => s.dilation[axis] * (s.kernel[axis] - 1) + 1;

/**
 * What PyTorch would refuse, in one sentence; null where the settings work.
 * @param {Settings} s
 * @returns {Problem | null}
 */
export function check(s) {
  for (const [field, least] of Object.entries(LEAST)) {
    for (const axis of AXES) {
      const value = s[/** @type {keyof typeof LEAST} */ (field)][axis];
      if (!Number.isInteger(value) || value < least) {
        return { field, text: `The ${WORDS[field] ?? field} along the ${AXIS_NAMES[axis]} must be a whole number of ${least} or more.` };
      }
    }
  }
  return checkChannels(s) ?? AXES.map((axis) => checkAxis(s, axis)).find((problem) => problem) ?? null;
}

/**
 * @param {Settings} s
 * @returns {Problem | null}
 */
function checkChannels(s) {
  for (const field of /** @type {const} */ (["channels", "outputs", "groups"])) {
    if (!Number.isInteger(s[field]) || s[field] < 1) return { field, text: `${field} must be a whole number of 1 or more.` };
  }
  if (!hasWeights(s.kind)) return null;
  for (const field of /** @type {const} */ (["channels", "outputs"])) {
    if (s[field] % s.groups) {
      const what = field === "channels" ? "input" : "output";
      return { field: "groups", text: `${s.groups} groups cannot share ${s[field]} ${what} channel${s[field] > 1 ? "s" : ""} equally: groups must divide both channel counts.` };
    }
  }
  return null;
}

/**
 * @param {Settings} s
 * @param {0 | 1} axis
 * @returns {Problem | null}
 */
function checkAxis(s, axis) {
  const [size, kernel, stride, padding, dilation] = numbers(s, axis);
  const name = AXIS_NAMES[axis];
  if (s.kind === "transposed") return checkTransposed(s, axis);
  if (s.kind === "average" && dilation > 1) return { field: "dilation", text: "Average pooling has no dilation: use 1, or pool the maximum." };
  if (!hasWeights(s.kind) && padding > Math.floor(kernel / 2)) {
    return { field: "padding", text: `Padding ${padding} is more than half the pooling kernel of ${kernel} along the ${name}: windows could see padding only.` };
  }
  const room = size + 2 * padding - span(s, axis);
  if (room < 0 && !(s.ceil && !hasWeights(s.kind) && room > -stride)) {
    const wide = dilation > 1 ? `With dilation ${dilation} a kernel of ${kernel} spans ${span(s, axis)} cells` : `The kernel of ${kernel}`;
    const verb = dilation > 1 ? "" : " is";
    return { field: "kernel", text: `${wide}${verb ? `${verb} ` : ", "}more than the ${size + 2 * padding} of the padded input along the ${name}: ${-room} more padding or a smaller kernel is needed.` };
  }
  return null;
}

/**
 * @param {Settings} s
 * @param {0 | 1} axis
 * @returns {Problem | null}
 */
function checkTransposed(s, axis) {
  const [size, , stride, padding, dilation, extra] = numbers(s, axis);
  const most = Math.max(stride, dilation) - 1;
  if (extra > most) {
    return { field: "outputPadding", text: `Output padding ${extra} along the ${AXIS_NAMES[axis]} must be smaller than the stride or the dilation, so at most ${most}.` };
  }
  const whole = (size - 1) * stride + span(s, axis) + extra;
  if (whole <= 2 * padding) {
    return { field: "padding", text: `Padding ${padding} cuts ${padding} off both ends of only ${whole} outputs along the ${AXIS_NAMES[axis]}: nothing is left.` };
  }
  return null;
}

/**
 * @param {Settings} s
 * @param {number} axis
 */
const numbers = (s, axis) => [s.size[axis], s.kernel[axis], s.stride[axis], s.padding[axis], s.dilation[axis], s.outputPadding[axis]];

/**
 * Channels, height and width of the output. The settings must have passed `check`.
 * @param {Settings} s
 * @returns {Place}
 */
export function outputShape(s) {
  const [height, width] = AXES.map((axis) => outputLength(s, axis));
  return [hasWeights(s.kind) ? s.outputs : s.channels, height, width];
}

/**
 * @param {Settings} s
 * @param {number} axis
 */
function outputLength(s, axis) {
  const [size, , stride, padding, , extra] = numbers(s, axis);
  if (s.kind === "transposed") return (size - 1) * stride - 2 * padding + span(s, axis) + extra;
  const steps = (size + 2 * padding - span(s, axis)) / stride;
  if (!roundsUp(s)) return Math.floor(steps) + 1;
  return Math.ceil(steps) + (startsBehind(s, axis) ? 0 : 1);
}

/** @param {Settings} s */
const roundsUp = (s) => s.ceil && !hasWeights(s.kind);

/**
 * Whether the window that rounding up adds would start behind the input, so that it does not count.
 * @param {Settings} s
 * @param {number} axis
 */
function startsBehind(s, axis) {
  const [size, , stride, padding] = numbers(s, axis);
  return Math.ceil((size + 2 * padding - span(s, axis)) / stride) * stride >= size + padding;
}

/**
 * The input channels that an output channel takes, or the output channels that an input channel feeds.
 * @param {Settings} s
 * @param {number} channel
 * @param {boolean} isOutput which of the two `channel` is
 * @returns {number[]}
 */
export function partners(s, channel, isOutput) {
  if (!hasWeights(s.kind)) return [channel];
  const [own, other] = isOutput ? [s.outputs, s.channels] : [s.channels, s.outputs];
  const width = other / s.groups;
  const first = Math.floor(channel / (own / s.groups)) * width;
  return Array.from({ length: width }, (_, index) => first + index);
}

/**
 * The index of the weight between two channels at a tap; -1 for pooling.
 * @param {Settings} s
 * @param {number} input
 * @param {number} output
 * @param {Pair} tap
 */
export function weightIndex(s, input, output, tap) {
  if (!hasWeights(s.kind)) return -1;
  const isUp = s.kind === "transposed";
  const row = isUp ? input : output;
  const width = (isUp ? s.outputs : s.channels) / s.groups;
  const column = (isUp ? output : input) % width;
  return ((row * width + column) * s.kernel[0] + tap[0]) * s.kernel[1] + tap[1];
}

/**
 * What one output takes, in the order in which PyTorch's kernel lies; padding is listed, as not inside.
 * @param {Settings} s
 * @param {Place} place of the output
 * @returns {Term[]}
 */
export function takes(s, place) {
  const spread = s.kind === "transposed" ? gathered : slid;
  return linked(s, place, true, AXES.map((axis) => spread(s, axis, place[axis + 1])), s.size);
}

/**
 * What one input reaches: outputs, and by which tap.
 * @param {Settings} s
 * @param {Place} place of the input
 * @returns {Term[]}
 */
export function reaches(s, place) {
  const [, height, width] = outputShape(s);
  const spread = s.kind === "transposed" ? slid : gathered;
  const found = linked(s, place, false, AXES.map((axis) => spread(s, axis, place[axis + 1])), [height, width]);
  return found.filter((term) => term.inside);
}

/**
 * Places under the window at a position, [place, tap].
 * @param {Settings} s
 * @param {number} axis
 * @param {number} at
 * @returns {Pair[]}
 */
function slid(s, axis, at) {
  const [, kernel, stride, padding, dilation] = numbers(s, axis);
  return Array.from({ length: kernel }, (_, tap) => [at * stride - padding + tap * dilation, tap]);
}

/**
 * The other direction of `slid`: positions whose window lies on a place, [position, tap].
 * @param {Settings} s
 * @param {number} axis
 * @param {number} at
 * @returns {Pair[]}
 */
function gathered(s, axis, at) {
  const [, kernel, stride, padding, dilation] = numbers(s, axis);
  /** @type {Pair[]} */
  const found = [];
  for (let tap = kernel - 1; tap >= 0; tap -= 1) {
    const far = at + padding - tap * dilation;
    if (far >= 0 && far % stride === 0) found.push([far / stride, tap]);
  }
  return found;
}

/**
 * @param {Settings} s
 * @param {Place} place
 * @param {boolean} isOutput
 * @param {Pair[][]} rows along each axis
 * @param {Pair} limit
 * @returns {Term[]}
 */
function linked(s, place, isOutput, [ys, xs], limit) {
  /** @type {Term[]} */
  const found = [];
  for (const channel of partners(s, place[0], isOutput)) {
    for (const [y, tapY] of ys) {
      for (const [x, tapX] of xs) {
        const [input, output] = isOutput ? [channel, place[0]] : [place[0], channel];
        const inside = y >= 0 && y < limit[0] && x >= 0 && x < limit[1];
        if (!inside && s.kind === "transposed") continue; // nothing lies there: its padding is cut off the output
        found.push({ place: [channel, y, x], tap: [tapY, tapX], weight: weightIndex(s, input, output, [tapY, tapX]), inside });
      }
    }
  }
  return found;
}

/**
 * The index of a place in numbers that lie as (channels, H, W).
 * @param {Place} place
 * @param {Pair} size
 */
export const flat = ([channel, y, x], [height, width]) => (channel * height + y) * width + x;

/** @param {Settings} s */
export const numInputs = (s) => s.channels * s.size[0] * s.size[1];

/** @param {Settings} s */
export const numWeights = (s) => (hasWeights(s.kind) ? (s.channels * s.outputs * s.kernel[0] * s.kernel[1]) / s.groups : 0);

/**
 * By what the sum under an average pooling window is divided: padding counts, what lies behind the padding never does.
 * @param {Settings} s
 * @param {Place} place of the output
 */
export function divisor(s, place) {
  if (!s.countPadding) return takes(s, place).filter((term) => term.inside).length;
  const lengths = AXES.map((axis) => {
    const [size, kernel, stride, padding] = numbers(s, axis);
    const first = place[axis + 1] * stride;
    return Math.min(first + kernel, size + 2 * padding) - first;
  });
  return lengths[0] * lengths[1];
}

/**
 * One output.
 * @param {Settings} s
 * @param {Place} place of the output
 * @param {ArrayLike<number>} input
 * @param {ArrayLike<number>} weights
 * @param {ArrayLike<number> | null} bias one number an output channel
 * @returns {{value: number, terms: Term[], winner: number}} `winner` is the index of the largest term, -1 where none is
 */
export function output(s, place, input, weights, bias = null) {
  const terms = takes(s, place);
  const at = (/** @type {Term} */ term) => input[flat(term.place, s.size)];
  if (s.kind === "max") {
    let [winner, value] = [-1, -Infinity];
    terms.forEach((term, index) => {
      if (term.inside && at(term) > value) [winner, value] = [index, at(term)];
    });
    return { value, terms, winner };
  }
  let sum = 0;
  for (const term of terms) if (term.inside) sum += at(term) * (term.weight < 0 ? 1 : weights[term.weight]);
  const value = s.kind === "average" ? sum / divisor(s, place) : sum + (bias ? bias[place[0]] : 0);
  return { value, terms, winner: -1 };
}

/**
 * All outputs, as (channels, H, W).
 * @param {Settings} s
 * @param {ArrayLike<number>} input
 * @param {ArrayLike<number>} weights
 * @param {ArrayLike<number> | null} bias
 * @returns {Float64Array}
 */
export function outputs(s, input, weights, bias = null) {
  const [channels, height, width] = outputShape(s);
  const found = new Float64Array(channels * height * width);
  for (let channel = 0; channel < channels; channel += 1) {
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < width; x += 1) {
        found[flat([channel, y, x], [height, width])] = output(s, [channel, y, x], input, weights, bias).value;
      }
    }
  }
  return found;
}

/**
 * First and last place, of the padded input along an axis, that is drawn: padding, and what windows reach beyond it.
 * For a transposed convolution of the output: with what the padding cuts off.
 * @param {Settings} s
 * @param {0 | 1} axis
 * @returns {Pair}
 */
export function extent(s, axis) {
  const [size, , stride, padding] = numbers(s, axis);
  const length = outputLength(s, axis);
  if (s.kind === "transposed") return [-padding, Math.max(length, (size - 1) * stride + span(s, axis) - padding) - 1];
  return [-padding, Math.max(size + padding, (length - 1) * stride - padding + span(s, axis)) - 1];
}

/**
 * How many windows lie on each place of `extent` along an axis; where 0, nothing is read (or, in the output of a
 * transposed convolution, nothing is written).
 * @param {Settings} s
 * @param {0 | 1} axis
 * @returns {number[]}
 */
export function uses(s, axis) {
  const [first, last] = extent(s, axis);
  const count = s.kind === "transposed" ? s.size[axis] : outputLength(s, axis);
  return Array.from({ length: last - first + 1 }, (_, index) => gathered(s, axis, first + index).filter(([at]) => at < count).length);
}

/**
 * Rows or columns that the division leaves over at the far end, so that no window reads them.
 * @param {Settings} s
 * @param {0 | 1} axis
 */
export function remainder(s, axis) {
  if (s.kind === "transposed" || roundsUp(s)) return 0;
  return (s.size[axis] + 2 * s.padding[axis] - span(s, axis)) % s.stride[axis];
}
