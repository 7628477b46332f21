// V3: the kernels that were learned: as images, how long and how alike they are, and what training changed.

import { cssOf, paint, paintImage, scaleFor } from "../colour.js";
import { fill, h, num, svg } from "../dom.js";
import { json, packed } from "../net.js";

const PAGE = 64;
const BINS = 24;
const TILE_PX = 52;
const NUMBERS = 49; // of a channel, that are written out

/**
 * @param {HTMLElement} main
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").Mounted>}
 */
export async function mount(main, context) {
  const base = `/api/models/${context.model.id}/filters`;
  /** @type {{ layers: { name: string, shape: number[] }[], has_before: boolean }} */
  const { layers, has_before: hasBefore } = await json(base, {}, context.signal);
  if (!layers.length) {
    fill(main, h("p.empty", {}, "There is no convolution in this network."));
    return {};
  }
  /** @type {any} */
  let page;
  /** @type {any} */
  let kernel;
  let pageKey = "";
  let kernelKey = "";
  const choose = h("select", { "aria-label": "Convolution", onchange: () => context.set({ layer: choose.value, kernel: null, from: null }) }, layers.map((one) => h("option", { value: one.name }, `${one.name}: ${one.shape[0]} of ${one.shape.slice(2).join(" × ")}`)));
  const option = (/** @type {string} */ name, /** @type {string} */ title) => h("button", { type: "button", onclick: () => context.set({ [name]: context.state()[name] ? null : "1" }, true) }, title);
  const common = option("common", "One scale for all");
  const sorted = option("bylength", "Longest first");
  const before = option("before", "Before training");
  before.hidden = !hasBefore;
  const grid = h("div.kernels", { role: "listbox", "aria-label": "Kernels" });
  const pager = h("div.row");
  const about = h("p.note");
  const lengths = h("div");
  const alike = h("canvas.map.alike", { role: "img", "aria-label": "likeness of each pair of kernels" });
  const pair = h("p.note", {}, "Point at a square to see which two kernels it compares.");
  const likeness = h("section", {}, h("h2", {}, "Alike"), alike, pair);
  fill(main, h("div.controls", {}, choose, h("div.segments", {}, common, sorted, before)), about, grid, pager, h("div.filter-charts", {}, h("section", {}, h("h2", {}, "Lengths"), lengths), likeness));
  alike.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => compare(event));
  alike.addEventListener("click", (/** @type {PointerEvent} */ event) => context.set({ kernel: placed(event)[0] }, true));

  const layerOf = (/** @type {import("../types.js").State} */ state) => layers.find((one) => one.name === state.layer) || layers[0];

  /** @param {import("../types.js").State} state */
  async function update(state) {
    const layer = layerOf(state);
    const count = layer.shape[0];
    const first = Math.min(Math.max(0, Math.floor((Number(state.from) || 0) / PAGE) * PAGE), Math.floor((count - 1) / PAGE) * PAGE);
    const index = Math.min(count - 1, Math.max(0, Number(state.kernel) || 0));
    choose.value = layer.name;
    for (const [button, name] of [[common, "common"], [sorted, "bylength"], [before, "before"]]) button.setAttribute("aria-pressed", String(Boolean(state[name])));
    const key = `${layer.name} ${first}`;
    if (key !== pageKey) {
      page = await packed(`${base}/page`, { layer: layer.name, first }, context.signal);
      pageKey = key;
    }
    const one = `${layer.name} ${index}`;
    if (one !== kernelKey) {
      kernel = await packed(`${base}/kernel`, { layer: layer.name, kernel: index }, context.signal);
      kernelKey = one;
    }
    draw(state, layer, first, index);
  }

  /**
   * @param {import("../types.js").State} state
   * @param {{ name: string, shape: number[] }} layer
   * @param {number} first
   * @param {number} index
   */
  function draw(state, layer, first, index) {
    const [count, channels, ...sides] = layer.shape;
    const { arrays } = page;
    const isBefore = Boolean(state.before && arrays.before);
    const weights = isBefore ? arrays.before : arrays.weights;
    const [shown, kept] = weights.shape;
    const size = weights.length / shown;
    const rest = channels > kept && channels !== 3 ? `; its first ${kept} of ${channels} channels are shown` : "";
    fill(about, `${count} kernels, each ${channels} × ${sides.join(" × ")}${channels === 3 ? ", in colour: mid-grey is 0" : `, an image a channel: blue is negative, red positive${rest}`}.`);
    const order = Array.from({ length: shown }, (_, at) => at);
    const norms = isBefore ? arrays.norms_before : arrays.norms;
    if (state.bylength) order.sort((a, b) => norms[first + b] - norms[first + a]);
    const top = state.common ? page.head.largest : 0;
    fill(grid, order.map((at) => tile(weights.subarray(at * size, (at + 1) * size), weights.shape.slice(1), top, first + at, first + at === index)));
    const turn = (/** @type {number} */ to, /** @type {string} */ text) => h("button", { disabled: to < 0 || to >= count, onclick: () => context.set({ from: to || null }, true) }, text);
    fill(pager, count > PAGE ? [turn(first - PAGE, "Before"), h("span.note", {}, `${first} to ${Math.min(count, first + PAGE) - 1} of ${count}`), turn(first + PAGE, "After")] : null);
    fill(lengths, histogram(norms, index));
    likeness.hidden = !arrays.similarity;
    if (arrays.similarity) paint(alike, arrays.similarity, count, count, { ramp: "signed", low: -1, high: 1 });
    inspect(layer, index);
  }

  /**
   * @param {Float32Array} values
   * @param {number[]} shape channels, height, width
   * @param {number} top of the scale; 0 is its own
   * @param {number} index
   * @param {boolean} isChosen
   */
  function tile(values, shape, top, index, isChosen) {
    const canvas = h("canvas.map");
    paintKernel(canvas, values, shape, top);
    const long = Math.max(canvas.width, canvas.height);
    Object.assign(canvas.style, { width: `${(TILE_PX * canvas.width) / long}px`, height: `${(TILE_PX * canvas.height) / long}px` });
    return h("button.kernel", { role: "option", "aria-selected": String(isChosen), "data-kernel": index, "aria-label": `kernel ${index}`, onclick: () => context.set({ kernel: index }, true) }, canvas, h("small", {}, `${index}`));
  }

  /**
   * @param {{ name: string, shape: number[] }} layer
   * @param {number} index
   */
  function inspect(layer, index) {
    const { arrays } = page;
    const [channels, ...sides] = layer.shape.slice(1);
    const facts = [["Length", num(arrays.norms[index])]];
    if (arrays.change) facts.push(["Length before training", num(arrays.norms_before[index])], ["Moved by", `${(100 * arrays.change[index]).toFixed(1)} % of that`]);
    const own = Array.from(kernel.arrays.weights);
    facts.push(["Sum", num(own.reduce((sum, value) => sum + value, 0))], ["Least, largest", `${num(Math.min(...own), 4)}, ${num(Math.max(...own), 4)}`]);
    const near = nearest(index);
    fill(
      context.inspector,
      h("h2", {}, `Kernel ${index} of ${layer.name}`),
      h("p", {}, sentence(index)),
      h("dl.facts", {}, facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      channelsOf(kernel.arrays.weights, channels, sides, "Now"),
      kernel.arrays.before ? channelsOf(kernel.arrays.before, channels, sides, "Before training") : null,
      near.length ? [h("h3", {}, "Most alike"), h("div.row", {}, near.map(([other, cosine]) => h("button", { onclick: () => context.set({ kernel: other }, true) }, `${other}: ${num(cosine, 3)}`)))] : null,
    );
  }

  /** @param {number} index */
  function sentence(index) {
    const { norms, change } = page.arrays;
    const longer = Array.from(norms).filter((one) => one > norms[index]).length;
    const place = longer === 0 ? "It is the longest" : `${longer} of ${norms.length} are longer`;
    const moved = change ? `; training moved it by ${num(change[index], 3)} times the length it had` : "";
    return `${place}${moved}. The longer a kernel, the stronger it answers.`;
  }

  /** @param {number} index */
  function nearest(index) {
    const all = page.arrays.similarity;
    if (!all) return [];
    const count = page.arrays.norms.length;
    const others = Array.from({ length: count }, (_, at) => [at, all[index * count + at]]).filter(([at]) => at !== index);
    return others.sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 4);
  }

  /** @param {PointerEvent} event */
  function placed(event) {
    const count = page.arrays.norms.length;
    const at = (/** @type {number} */ offset, /** @type {number} */ size) => Math.min(count - 1, Math.max(0, Math.floor((offset / size) * count)));
    return [at(event.offsetY, alike.clientHeight), at(event.offsetX, alike.clientWidth)];
  }

  /** @param {PointerEvent} event */
  function compare(event) {
    const [row, column] = placed(event);
    pair.textContent = `Kernels ${row} and ${column}: cosine ${num(page.arrays.similarity[row * page.arrays.norms.length + column], 4)}.`;
  }

  /** @param {number} step */
  function move(step) {
    const count = page.arrays.norms.length;
    const to = Math.min(count - 1, Math.max(0, (Number(context.state().kernel) || 0) + step));
    context.set({ kernel: to, from: Math.floor(to / PAGE) * PAGE || null }, true);
    return true;
  }

  /** @param {number} step */
  function turn(step) {
    const at = layers.indexOf(layerOf(context.state()));
    const to = layers[Math.min(layers.length - 1, Math.max(0, at + step))];
    context.set({ layer: to.name, kernel: null, from: null }, true);
    return true;
  }

  await update(context.state());
  /** @type {Record<string, () => boolean>} */
  const keys = { ",": () => move(-1), ".": () => move(1), ArrowLeft: () => move(-1), ArrowRight: () => move(1), "[": () => turn(-1), "]": () => turn(1) };
  return {
    update,
    key: (event) => (keys[event.key] ? keys[event.key]() : false),
    numbers: () => ({ columns: ["kernel", "length", ...(page.arrays.change ? ["length_before", "change"] : [])], rows: Array.from(page.arrays.norms, (/** @type {number} */ one, /** @type {number} */ at) => [at, one, ...(page.arrays.change ? [page.arrays.norms_before[at], page.arrays.change[at]] : [])]) }),
    code: () => `from striate.inside.kernels import kernels_of\n\n(kernels,) = [one for one in kernels_of(network, "${layerOf(context.state()).name}")][:1]\nprint(kernels.weights.shape, kernels.norms)`,
    drawing: () => grid.querySelector('[aria-selected="true"] canvas'),
  };
}

/**
 * A kernel on a canvas: in colour where it reads three channels, else its channels as tiles of a square.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} values
 * @param {number[]} shape channels, height, width; a series has one side only
 * @param {number} top
 */
function paintKernel(canvas, values, shape, top) {
  const channels = shape[0];
  const [height, width] = shape.length > 2 ? shape.slice(1) : [1, shape[1]];
  const largest = top || values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  if (channels === 3) {
    const levels = values.map((value) => Math.min(255, Math.max(0, Math.round(127.5 + (127.5 * value) / largest))));
    paintImage(canvas, levels, [3, height, width]);
    return;
  }
  const across = Math.ceil(Math.sqrt(channels));
  const gap = channels > 1 ? 1 : 0;
  const down = Math.ceil(channels / across);
  const [high, wide] = [down * (height + gap) - gap, across * (width + gap) - gap];
  const sheet = new Float32Array(high * wide).fill(NaN);
  for (let at = 0; at < channels * height * width; at++) {
    const [channel, y, x] = [Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width];
    sheet[(Math.floor(channel / across) * (height + gap) + y) * wide + (channel % across) * (width + gap) + x] = values[at];
  }
  paint(canvas, sheet, high, wide, { ramp: "signed", low: -largest, high: largest });
}

/**
 * The first channels of a kernel with their numbers.
 * @param {Float32Array} values
 * @param {number} channels
 * @param {number[]} sides
 * @param {string} title
 */
function channelsOf(values, channels, sides, title) {
  const width = sides[sides.length - 1];
  const size = sides.reduce((all, side) => all * side, 1);
  if (size > NUMBERS) return null;
  const scale = scaleFor(Math.min(0, ...values), Math.max(0, ...values), "signed");
  const grids = Array.from({ length: Math.min(channels, 3) }, (_, channel) => {
    const cells = Array.from(values.subarray(channel * size, (channel + 1) * size), (value) => {
      const cell = h("span", {}, num(value, width > 5 ? 2 : 3));
      Object.assign(cell.style, { backgroundColor: cssOf(value, scale).back, color: cssOf(value, scale).ink });
      return cell;
    });
    const grid = h("div.weights", { "data-channel": channel }, cells);
    grid.style.setProperty("--columns", `${width}`);
    return h("div", {}, h("small", {}, `channel ${channel}`), grid);
  });
  return h("section", {}, h("h3", {}, title), grids, channels > 3 ? h("p.note", {}, `${channels - 3} more channels`) : null);
}

/**
 * How many kernels have which length; the chosen one's bar is filled.
 * @param {Float32Array} norms
 * @param {number} index
 */
function histogram(norms, index) {
  const top = Math.max(...norms) || 1;
  const bin = (/** @type {number} */ value) => Math.min(BINS - 1, Math.floor((value / top) * BINS));
  const counts = Array(BINS).fill(0);
  for (const value of norms) counts[bin(value)] += 1;
  const most = Math.max(...counts);
  const bars = counts.map((count, at) => svg("rect", { x: at * 12, y: 92 - (88 * count) / most, width: 11, height: (88 * count) / most, class: at === bin(norms[index]) ? "bar own" : "bar" }, svg("title", {}, `${count} with a length of ${num((at * top) / BINS, 3)} to ${num(((at + 1) * top) / BINS, 3)}`)));
  const words = [[0, "0", "start"], [BINS * 12, num(top, 3), "end"]].map(([x, text, anchor]) => svg("text", { x, y: 106, "text-anchor": anchor }, text));
  return svg("svg.lengths", { viewBox: `0 0 ${BINS * 12} 110`, role: "img", "aria-label": `lengths of ${norms.length} kernels, 0 to ${num(top, 3)}` }, bars, svg("line", { x1: 0, x2: BINS * 12, y1: 92.5, y2: 92.5 }), words);
}
