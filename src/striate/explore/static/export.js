// The page that `striate explore RUN --export` writes: a network and a few images, step by step, without a server.

import { divisor, takes } from "./arithmetic.js";
import { cssOf, paint, scaleFor } from "./colour.js";
import { fill, h, icon, num } from "./dom.js";
import { createStore } from "./store.js";
import { titleOf } from "./words.js";

/** @typedef {import("./arithmetic.js").Settings} Settings */
/** @typedef {{ index: number, name: string, kind: string, operation: string, module: string, shape: number[], taken: number[][], maps: number[], inputs: number[][], read: number[], window: number[][], under: number[][] | null, settings: Settings | null, fan_in: number, kernels: number | null, biases: number | null }} Step */
/** @typedef {{ out: number, input?: number, rest?: number }} Numbers */
/** @typedef {{ title: string, thumbnail: string, answer: string, names: string[], probabilities: number[], best: string, temperature: number }} Picture */
/** @typedef {{ title: string, sampling: string, images: Picture[], steps: Step[], passes: Numbers[][], outputs: (number | null)[], arrays: string[] }} Content */
/** @typedef {{ value: number, weight: number, inside: boolean }} Term */
/** @typedef {{ input: number, terms: Term[], sum: number }} Part what one input map gives to an output */

const ROWS = 6; // input maps that are shown one by one
const TERMS = 24; // inputs of a linear layer
const STEP_MS = 500;
const NAMES = { conv: "Convolution", transposed: "Transposed convolution", max: "Max pooling", average: "Average pooling", linear: "Linear layer", softmax: "Softmax", map: "" };

/** @type {Content} */
const content = JSON.parse(/** @type {HTMLElement} */ (document.getElementById("document")).textContent || "");
/** @type {Map<number, Float32Array>} */
const decoded = new Map();
/** @type {ReturnType<typeof setInterval> | undefined} */
let timer;

/** @param {number} at */
function array(at) {
  let found = decoded.get(at);
  if (!found) {
    const bytes = Uint8Array.from(atob(content.arrays[at]), (one) => one.charCodeAt(0));
    found = new Float32Array(bytes.buffer);
    decoded.set(at, found);
  }
  return found;
}

/** The steps of the network, and the softmax behind it where probabilities are made so. */
const steps = content.images.some((one) => one.probabilities.length > 1) && content.outputs[0] !== null
  ? [...content.steps, { ...content.steps[content.steps.length - 1], kind: "softmax", name: "softmax", module: "", index: -1 }]
  : content.steps;

/** @param {Step} step */
const sides = (step) => step.window.map(([first, last]) => last - first);

/**
 * A number of the output that is kept.
 * @param {Step} step
 * @param {ArrayLike<number>} values
 * @param {number} map its place among those kept
 * @param {number} y
 * @param {number} x
 */
function kept(step, values, map, y, x) {
  const [height, width] = sides(step);
  return values[(map * height + y - step.window[0][0]) * width + x - step.window[1][0]];
}

/**
 * What each input map gives to an output.
 * @param {Step} step
 * @param {Numbers} numbers
 * @param {number} map
 * @param {number} y
 * @param {number} x
 * @returns {Part[]}
 */
function partsOf(step, numbers, map, y, x) {
  const values = array(/** @type {number} */ (numbers.input));
  const weights = step.kernels === null ? null : array(step.kernels);
  if (step.kind === "linear") {
    const width = step.inputs[map].length;
    const all = step.inputs[map].map((input, at) => {
      const term = { value: values[step.read.indexOf(input)], weight: /** @type {Float32Array} */ (weights)[map * width + at], inside: true };
      return { input, terms: [term], sum: term.value * term.weight };
    });
    return all;
  }
  const s = /** @type {Settings} */ (step.settings);
  const [rows, columns] = /** @type {number[][]} */ (step.under);
  const [high, wide] = [rows[1] - rows[0], columns[1] - columns[0]];
  const taps = takes(s, [0, y, x]);
  return step.inputs[map].map((input, at) => {
    const plane = step.read.indexOf(input) * high * wide;
    const terms = taps.map(({ place: [, row, column], tap, inside }) => ({
      value: inside ? values[plane + (row - rows[0]) * wide + column - columns[0]] : 0,
      weight: weights ? weights[((map * step.inputs[map].length + at) * s.kernel[0] + tap[0]) * s.kernel[1] + tap[1]] : 1,
      inside,
    }));
    return { input, terms, sum: terms.reduce((sum, term) => sum + term.value * term.weight, 0) };
  });
}

/**
 * An output worked out again.
 * @param {Step} step
 * @param {Numbers} numbers
 * @param {number} map
 * @param {number} y
 * @param {number} x
 */
function worked(step, numbers, map, y, x) {
  const parts = partsOf(step, numbers, map, y, x);
  const stored = kept(step, array(numbers.out), map, y, x);
  const rest = numbers.rest === undefined ? 0 : kept(step, array(numbers.rest), map, y, x);
  const bias = step.biases === null ? 0 : array(step.biases)[map];
  const sum = parts.reduce((all, part) => all + part.sum, 0);
  if (step.kind === "max") return { parts, stored, rest, bias, total: Math.max(...parts[0].terms.filter((term) => term.inside).map((term) => term.value)) };
  const total = step.kind === "average" ? sum / divisor(/** @type {Settings} */ (step.settings), [0, y, x]) : sum + rest + bias;
  return { parts, stored, rest, bias, total };
}

/** @param {Step} step */
function title(step) {
  const kernel = step.settings ? ` ${step.settings.kernel.join(" × ")}` : "";
  return `${NAMES[/** @type {keyof typeof NAMES} */ (step.kind)] || titleOf({ kind: step.operation, name: step.name })}${kernel}`;
}

/** @param {number[]} shape */
const shaped = ([count, ...rest]) => (rest.every((side) => side === 1) ? `${count} numbers` : `${count} map${count > 1 ? "s" : ""} of ${rest.join(" × ")}`);

const store = createStore(render);
const root = h("div.exported");
document.body.append(root);

/** What the address says, kept in bounds. */
function place() {
  const state = store.get();
  const pick = (/** @type {string} */ name, /** @type {number} */ count, first = 0) => Math.min(first + count - 1, Math.max(first, Number(state[name]) || first));
  const image = pick("image", content.images.length);
  const at = pick("step", steps.length);
  const step = steps[at];
  const map = step.kind === "softmax" ? pick("map", content.images[image].names.length) : pick("map", step.maps.length);
  const [height, width] = sides(step);
  return { image, at, step, map, y: pick("y", height, step.window[0][0]), x: pick("x", width, step.window[1][0]) };
}

/** @param {Record<string, number | null>} patch */
const go = (patch) => store.set(patch, true);

function render() {
  const { image, at, step, map, y, x } = place();
  document.documentElement.dataset.ready = "no";
  const pictures = content.images.map((one, index) =>
    h("button.ex-picture", { "aria-pressed": String(index === image), onclick: () => go({ image: index }) }, h("img", { src: one.thumbnail, alt: "" }), h("span", {}, one.title), h("small", {}, one.answer)),
  );
  const list = steps.map((one, index) => h("button.ex-step", { "aria-pressed": String(index === at), onclick: () => go({ step: index, map: null, y: null, x: null }) }, h("small", {}, `${index + 1}`), h("span", {}, title(one)), h("small", {}, one.kind === "softmax" ? "" : one.shape.join(" × "))));
  const scrolled = root.querySelector(".ex-steps")?.scrollTop || 0;
  fill(
    root,
    h("header", {}, h("h1", {}, `${content.title}, step by step`), content.sampling ? h("p.note", {}, content.sampling) : h("p.note", {}, "Every number of the pass is in this file."), h("div.ex-pictures", {}, pictures)),
    h("nav.ex-steps", { "aria-label": "Steps" }, list),
    h("main", { id: "main" }, step.kind === "softmax" ? softmax(image, map) : operation(step, content.passes[image][at], map, y, x)),
  );
  const nav = /** @type {HTMLElement} */ (root.querySelector(".ex-steps"));
  nav.scrollTop = scrolled;
  const chosen = nav.querySelector('[aria-pressed="true"]');
  const end = Math.min(nav.getBoundingClientRect().bottom, innerHeight);
  if (chosen) nav.scrollTop += Math.min(0, chosen.getBoundingClientRect().top - nav.getBoundingClientRect().top) + Math.max(0, chosen.getBoundingClientRect().bottom - end);
  document.documentElement.dataset.ready = "yes";
}

/**
 * @param {Step} step
 * @param {Numbers} numbers
 * @param {number} map
 * @param {number} y
 * @param {number} x
 */
function operation(step, numbers, map, y, x) {
  const [height, width] = sides(step);
  const values = array(numbers.out);
  const plane = values.subarray(map * height * width, (map + 1) * height * width);
  const part = height < step.shape[1] || width < step.shape[2] ? ` Shown: rows ${step.window[0].join("–")}, columns ${step.window[1].join("–")}.` : "";
  const from = step.taken.map(shaped).join(" and ");
  const tabs = step.maps.length > 1 ? h("div.ex-maps", { role: "group", "aria-label": "Output map" }, step.maps.map((one, index) => h("button", { "aria-pressed": String(index === map), onclick: () => go({ map: index }) }, `${one}`))) : null;
  const own = h("figure", {}, canvasOf(plane, height, width, [y - step.window[0][0], x - step.window[1][0]], (row, column) => go({ y: row + step.window[0][0], x: column + step.window[1][0] })), h("figcaption", {}, `Output ${step.maps[map]}`));
  const stored = kept(step, values, map, y, x);
  const where = h("p.ex-at", {}, h("b", {}, `output[${step.maps[map]}, ${y}, ${x}]`), ` = ${num(stored)}`);
  const sum = step.kind === "map" ? h("div", {}, where, h("p.note", {}, "This step changes each number by itself, or moves it; the steps around it are taken apart.")) : h("div", {}, where, equation(step, worked(step, numbers, map, y, x)));
  return h("div", {}, h("h2", {}, title(step)), h("p", {}, `${step.module ? `${step.module}: ` : ""}${shaped(step.shape)} from ${from}.${part}`), tabs, transport(height * width), h("div.ex-bench", {}, h("div.ex-own", {}, own, sum), step.settings ? inputs(step, numbers, map, y, x) : null));
}

/** @param {number} count */
function transport(count) {
  const { step, y, x } = place();
  const width = sides(step)[1];
  const at = (y - step.window[0][0]) * width + x - step.window[1][0];
  const jump = (/** @type {number} */ to) => {
    const next = Math.min(count - 1, Math.max(0, to));
    go({ y: Math.floor(next / width) + step.window[0][0], x: (next % width) + step.window[1][0] });
  };
  const play = () => {
    if (timer) return halt();
    timer = setInterval(() => (Number(slider().value) >= count - 1 ? halt() : jump(Number(slider().value) + 1)), STEP_MS);
    return render();
  };
  const slider = () => /** @type {HTMLInputElement} */ (root.querySelector(".pg-transport input"));
  if (count < 2) return null;
  return h("div.pg-transport", {}, h("button", { onclick: () => jump(at - 1), "aria-label": "One back" }, icon("M10 3 5 8l5 5")), h("button", { onclick: play, "aria-label": timer ? "Pause" : "Play" }, icon(timer ? "M5 3v10M11 3v10" : "M5 3l8 5-8 5z")), h("button", { onclick: () => jump(at + 1), "aria-label": "One on" }, icon("M6 3l5 5-5 5")), h("input", { type: "range", min: 0, max: count - 1, value: at, "aria-label": "Position", oninput: () => jump(Number(slider().value)) }), h("output.pg-count", {}, `${at + 1} of ${count}`));
}

function halt() {
  clearInterval(timer);
  timer = undefined;
  render();
}

/**
 * The input maps that weigh most, each with its window and its kernel.
 * @param {Step} step
 * @param {Numbers} numbers
 * @param {number} map
 * @param {number} y
 * @param {number} x
 */
function inputs(step, numbers, map, y, x) {
  const s = /** @type {Settings} */ (step.settings);
  const parts = [...partsOf(step, numbers, map, y, x)].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum)).slice(0, ROWS);
  const values = array(/** @type {number} */ (numbers.input));
  const [rows, columns] = /** @type {number[][]} */ (step.under);
  const [high, wide] = [rows[1] - rows[0], columns[1] - columns[0]];
  const taps = takes(s, [0, y, x]).filter((term) => term.inside);
  const box = taps.length ? [Math.min(...taps.map((term) => term.place[1])) - rows[0], Math.min(...taps.map((term) => term.place[2])) - columns[0], Math.max(...taps.map((term) => term.place[1])) - rows[0] + 1, Math.max(...taps.map((term) => term.place[2])) - columns[0] + 1] : null;
  return h("div.ex-inputs", {}, parts.map((part) => {
    const plane = step.read.indexOf(part.input) * high * wide;
    const figure = h("figure", {}, canvasOf(values.subarray(plane, plane + high * wide), high, wide, null, null, box), h("figcaption", {}, `Input ${part.input}`));
    if (part.terms.length > 121) return h("div.ex-input", {}, figure);
    const grid = step.kind === "transposed" ? null : numbersGrid(part.terms.map((term) => (term.inside ? term.value : null)), s.kernel[1], "Under the window");
    const kernel = step.kernels === null || step.kind === "transposed" ? null : numbersGrid(part.terms.map((term) => term.weight), s.kernel[1], "Kernel");
    return h("div.ex-input", {}, figure, grid, kernel ? h("span.ex-sign", {}, "×") : null, kernel, step.kind === "max" ? null : h("span.ex-sum", {}, `${step.kind === "average" ? "sum" : "="} ${num(part.sum)}`));
  }));
}

/**
 * @param {(number | null)[]} values null is padding
 * @param {number} width
 * @param {string} title
 */
function numbersGrid(values, width, title) {
  const known = values.filter((value) => value !== null);
  const scale = scaleFor(Math.min(...known, 0), Math.max(...known, 0), "signed");
  const table = h("div.ex-numbers", { role: "img", "aria-label": title }, values.map((value) => {
    const cell = h(value === null ? "span.ex-none" : "span", {}, value === null ? "0" : num(value, width > 5 ? 2 : 3));
    if (value !== null) Object.assign(cell.style, { backgroundColor: cssOf(value, scale).back, color: cssOf(value, scale).ink });
    return cell;
  }));
  table.style.setProperty("--columns", `${width}`);
  return h("figure", {}, table, h("figcaption", {}, title));
}

/**
 * @param {ArrayLike<number>} values
 * @param {number} height
 * @param {number} width
 * @param {number[] | null} cell that is marked
 * @param {((y: number, x: number) => void) | null} choose
 * @param {number[] | null} [box] top, left, bottom, right
 */
function canvasOf(values, height, width, cell, choose, box = null) {
  const canvas = h("canvas.map", choose ? { tabindex: 0, role: "img", "aria-label": "output map: arrows move the cell" } : { "aria-hidden": "true" });
  const list = Array.from(values).filter(Number.isFinite);
  paint(canvas, values, height, width, scaleFor(list.reduce((a, b) => Math.min(a, b), 0), list.reduce((a, b) => Math.max(a, b), 0)));
  const holder = h("div.ex-holder", {}, canvas);
  const long = choose ? 280 : 112;
  const size = Math.max(choose ? 1 : 0.25, Math.min(long / Math.max(height, width), 40));
  Object.assign(holder.style, { width: `${width * size}px`, height: `${height * size}px` });
  const frame = cell ? [cell[0], cell[1], cell[0] + 1, cell[1] + 1] : box;
  if (frame) {
    const mark = h("div.ex-mark");
    Object.assign(mark.style, { top: `${frame[0] * size}px`, left: `${frame[1] * size}px`, height: `${(frame[2] - frame[0]) * size}px`, width: `${(frame[3] - frame[1]) * size}px` });
    holder.append(mark);
  }
  if (choose) {
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      const [row, column] = [Math.floor(event.offsetY / size), Math.floor(event.offsetX / size)];
      if (!timer && cell && (row !== cell[0] || column !== cell[1]) && row >= 0 && column >= 0 && row < height && column < width) choose(row, column);
    });
  }
  return holder;
}

/**
 * @param {Step} step
 * @param {ReturnType<typeof worked>} found
 */
function equation(step, { parts, stored, rest, bias, total }) {
  const ranked = [...parts].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
  const shown = ranked.slice(0, step.kind === "linear" ? TERMS : ROWS);
  const others = ranked.slice(shown.length).reduce((sum, part) => sum + part.sum, 0);
  /** @type {[string, number][]} */
  const rows = [];
  if (step.kind === "linear") for (const part of shown) rows.push([`input ${part.input}: ${num(part.terms[0].value, 4)} × ${num(part.terms[0].weight, 4)}`, part.sum]);
  else if (step.kind !== "max") for (const part of shown) rows.push([step.kind === "average" ? `sum of ${part.terms.length} numbers` : `input map ${part.input}`, part.sum]);
  if (ranked.length > shown.length) rows.push([`${ranked.length - shown.length} more`, others]);
  if (step.fan_in > parts.length) rows.push([`${step.fan_in - parts.length} that are left out here`, rest]);
  if (step.biases !== null) rows.push(["bias", bias]);
  if (step.kind === "max") rows.push([`largest of ${parts[0].terms.filter((term) => term.inside).length} numbers`, total]);
  const word = step.kind === "average" ? `divided by ${num(total ? parts[0].sum / total : parts[0].terms.length, 4)}` : "sum";
  const lines = rows.map(([name, value]) => h("tr", {}, h("td", {}, name), h("td.num", {}, num(value))));
  return h("table", {}, h("tbody", {}, lines, h("tr.ex-total", {}, h("td", {}, step.kind === "max" ? "result" : word), h("td.num", { "data-total": total }, num(total))), h("tr", {}, h("td", {}, "the network has"), h("td.num", { "data-stored": stored }, num(stored)))));
}

/**
 * @param {number} image
 * @param {number} chosen
 */
function softmax(image, chosen) {
  const picture = content.images[image];
  const outputs = Array.from(array(/** @type {number} */ (content.outputs[image])));
  const scaled = outputs.map((value) => value / picture.temperature);
  const exps = scaled.map((value) => Math.exp(value));
  const all = exps.reduce((sum, value) => sum + value, 0);
  const order = picture.names.map((_, at) => at).sort((a, b) => picture.probabilities[b] - picture.probabilities[a]).slice(0, 20);
  const isScaled = Math.abs(picture.temperature - 1) > 1e-9;
  const heads = ["Class", "Output", ...(isScaled ? [`÷ ${num(picture.temperature, 4)}`] : []), "exp", "Probability"];
  const rows = order.map((at) => {
    const bar = h("td.num.arch-bar", { "data-total": exps[at] / all, "data-stored": picture.probabilities[at] }, num(exps[at] / all));
    bar.style.setProperty("--share", `${(100 * exps[at]) / all}%`);
    return h("tr", { "aria-selected": String(at === chosen), onclick: () => go({ map: at }) }, h("td", {}, picture.names[at]), h("td.num", {}, num(outputs[at])), isScaled ? h("td.num", {}, num(scaled[at])) : null, h("td.num", {}, num(exps[at])), bar);
  });
  const line = `exp(${num(scaled[chosen])}) / ${num(all)} = ${num(exps[chosen])} / ${num(all)} = ${num(exps[chosen] / all)}`;
  return h("div", {}, h("h2", {}, "Softmax"), h("p", {}, `Outputs become probabilities: exp of each, divided by the sum of all ${outputs.length}${isScaled ? "; they are divided by the temperature first" : ""}.`), h("p.ex-at", {}, h("b", {}, picture.names[chosen]), `: ${line}`), h("div.scroll", {}, h("table.arch-table", {}, h("thead", {}, h("tr", {}, heads.map((name, at) => h(at ? "th.num" : "th", {}, name)))), h("tbody", {}, rows))));
}

addEventListener("keydown", (event) => {
  if (/** @type {HTMLElement} */ (event.target).closest("input")) return;
  const { at, map, y, x } = place();
  /** @type {Record<string, Record<string, number | null>>} */
  const keys = { ArrowUp: { y: y - 1 }, ArrowDown: { y: y + 1 }, ArrowLeft: { x: x - 1 }, ArrowRight: { x: x + 1 }, "[": { step: at - 1, map: null, y: null, x: null }, "]": { step: at + 1, map: null, y: null, x: null }, ",": { map: map - 1 }, ".": { map: map + 1 } };
  if (!(event.key in keys) || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  go(keys[event.key]);
});

render();
