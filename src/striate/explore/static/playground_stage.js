// @ts-check
/** The playground's drawing: grids of numbers for input, kernel and output, what links them, and what is pointed at. */

import { flat, hasWeights, outputShape, outputs, partners, reaches, span, takes, uses, weightIndex } from "./arithmetic.js";
import { svg } from "./dom.js";
import { arrange } from "./playground_layout.js";
import { numbersOf, walk } from "./playground_state.js";

/** @typedef {import("./playground_state.js").State} State */
/** @typedef {import("./playground_state.js").Spot} Spot */
/** @typedef {import("./arithmetic.js").Place} Place */
/** @typedef {import("./arithmetic.js").Pair} Pair */
/** @typedef {import("./arithmetic.js").Term} Term */
/** @typedef {import("./playground_layout.js").Grid} Grid */
/** @typedef {import("./playground_layout.js").Layout} Layout */
/** @typedef {{spots: Spot[], frames: {side: Spot["side"], channel: number, rows: Pair, columns: Pair}[], terms: Term[]}} Links */

/**
 * What belongs to a cell: for an output what it takes, for an input what it reaches, for a weight where it is used.
 * @param {State} state
 * @param {Spot} spot
 * @returns {Links}
 */
export function linksOf({ settings: s, channel }, spot) {
  if (spot.side === "output") {
    const terms = takes(s, spot.place);
    return { terms, frames: s.kind === "transposed" ? [] : windowsOn(s, "input", partners(s, channel, true), spot.place), spots: spotsOf(terms, "input", (term) => [term.place[0], ...term.tap]) };
  }
  if (spot.side === "input") {
    const terms = reaches(s, spot.place).filter((term) => term.place[0] === channel);
    return { terms, frames: s.kind === "transposed" ? windowsOn(s, "output", [channel], spot.place) : [], spots: spotsOf(terms, "output", (term) => [spot.place[0], ...term.tap]) };
  }
  const [input, ...tap] = spot.place;
  const [, height, width] = outputShape(s);
  const terms = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) terms.push(...takes(s, [channel, y, x]).filter((term) => term.place[0] === input && term.tap[0] === tap[0] && term.tap[1] === tap[1]));
  }
  return { terms, frames: [], spots: spotsOf(terms, "input", () => [-1, 0, 0]) };
}

/**
 * @param {import("./arithmetic.js").Settings} s
 * @param {Spot["side"]} side
 * @param {number[]} channels
 * @param {Place} place
 */
function windowsOn(s, side, channels, place) {
  const [rows, columns] = /** @type {const} */ ([0, 1]).map((axis) => {
    const first = place[axis + 1] * s.stride[axis] - s.padding[axis];
    return /** @type {Pair} */ ([first, first + span(s, axis) - 1]);
  });
  return channels.map((channel) => ({ side, channel, rows, columns }));
}

/**
 * @param {Term[]} terms
 * @param {Spot["side"]} side
 * @param {(term: Term) => number[]} tap
 * @returns {Spot[]}
 */
const spotsOf = (terms, side, tap) => terms.flatMap((term) => [{ side, place: term.place }, { side: "kernel", place: /** @type {Place} */ (tap(term)) }]);

/** @param {Spot} spot */
export const keyOf = (spot) => `${spot.side}.${spot.place.join(".")}`;

/**
 * How a number is written in a cell.
 * @param {number} value
 * @param {number} digits
 */
export function written(value, digits = 3) {
  if (!Number.isFinite(value)) return value < 0 ? "−∞" : "∞";
  return `${Number(value.toPrecision(digits))}`.replace("-", "−");
}

/** The drawing in one SVG element; `point` only moves marks, `draw` makes all anew. */
export class Stage {
  /** @param {SVGSVGElement} root */
  constructor(root) {
    this.root = root;
    /** @type {Map<string, SVGElement>} */
    this.cells = new Map();
    /** @type {Layout | null} */
    this.layout = null;
    this.back = svg("g", { class: "pg-front", "aria-hidden": "true" });
    this.front = svg("g", { class: "pg-front", "aria-hidden": "true" });
  }

  /**
   * Draws all cells; returns whether they can be read.
   * @param {State} state
   * @param {number} room pixels
   */
  draw(state, room) {
    this.layout = arrange(state, room);
    this.cells.clear();
    this.root.replaceChildren();
    if (!this.layout) return false;
    const { width, height, grids, signs } = this.layout;
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.root.setAttribute("width", `${width}`);
    this.root.setAttribute("height", `${height}`);
    const hatch = svg("pattern", { id: "pg-hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("line", { x1: 0, y1: 0, x2: 0, y2: 6, class: "pg-hatch" }));
    this.root.append(svg("defs", {}, hatch), this.back);
    const values = valuesOf(state);
    for (const grid of grids) this.root.append(this.grid(state, grid, values[grid.side]));
    this.root.append(...signs.map(({ x, y, text }) => svg("text", { x, y, class: text.length > 1 ? "pg-sign pg-word" : "pg-sign" }, text)), this.front);
    return true;
  }

  /**
   * @param {State} state
   * @param {Grid} grid
   * @param {(place: Place) => number | null} valueOf
   */
  grid({ settings: s }, grid, valueOf) {
    const { cell } = /** @type {Layout} */ (this.layout);
    const parts = svg("g", { class: `pg-grid pg-${grid.side}` });
    parts.append(svg("text", { x: grid.x, y: grid.y - 22, class: "pg-title" }, grid.title));
    const isWindowed = (grid.side === "input") === (s.kind !== "transposed") && grid.side !== "kernel";
    const counts = isWindowed ? [uses(s, 0), uses(s, 1)] : null;
    const limit = grid.side === "kernel" ? s.kernel : grid.side === "input" ? s.size : outputShape(s).slice(1);
    for (let y = grid.rows[0]; y <= grid.rows[1]; y += 1) {
      if (y >= 0 && y < limit[0]) parts.append(svg("text", { x: grid.x - 7, y: grid.y + (y - grid.rows[0] + 0.5) * cell, class: "pg-index" }, `${y}`));
      for (let x = grid.columns[0]; x <= grid.columns[1]; x += 1) {
        if (y === grid.rows[0] && x >= 0 && x < limit[1]) parts.append(svg("text", { x: grid.x + (x - grid.columns[0] + 0.5) * cell, y: grid.y - 8, class: "pg-index" }, `${x}`));
        const isInside = y >= 0 && y < limit[0] && x >= 0 && x < limit[1];
        const isUnread = counts !== null && !(counts[0][y - grid.rows[0]] && counts[1][x - grid.columns[0]]);
        const spot = /** @type {Spot} */ ({ side: grid.side, place: [grid.channel, y, x] });
        parts.append(this.cell(grid, spot, isInside ? valueOf(spot.place) : null, isInside, isUnread, s));
      }
    }
    return parts;
  }

  /**
   * @param {Grid} grid
   * @param {Spot} spot
   * @param {number | null} value
   * @param {boolean} isInside
   * @param {boolean} isUnread
   * @param {import("./arithmetic.js").Settings} s
   */
  cell(grid, spot, value, isInside, isUnread, s) {
    const { cell } = /** @type {Layout} */ (this.layout);
    const [, y, x] = spot.place;
    const [left, top] = [grid.x + (x - grid.columns[0]) * cell, grid.y + (y - grid.rows[0]) * cell];
    const isBeyond = s.kind !== "transposed" && [y, x].some((at, axis) => at >= s.size[axis] + s.padding[axis]);
    const kind = isInside ? "pg-inside" : isBeyond ? "pg-beyond" : grid.side === "output" ? "pg-cut" : "pg-padding";
    const box = { x: left + 1, y: top + 1, width: cell - 2, height: cell - 2, rx: 3 };
    const group = svg("g", { class: `pg-cell ${kind}`, "data-spot": keyOf(spot) }, svg("rect", { ...box, class: "pg-box" }));
    if (isUnread) group.append(svg("rect", { ...box, fill: "url(#pg-hatch)" }));
    const text = value === null ? (kind === "pg-padding" && hasWeights(s.kind) ? "0" : "") : written(value);
    const size = Math.min(16, cell * 0.42, (cell * 1.45) / Math.max(1, text.length));
    if (text) group.append(svg("text", { x: left + cell / 2, y: top + cell / 2, "font-size": size.toFixed(1), class: "pg-number" }, text));
    this.cells.set(keyOf(spot), /** @type {SVGElement} */ (group));
    return group;
  }

  /**
   * Marks a cell, what belongs to it, and what has not been reached yet.
   * @param {State} state
   * @param {Spot | null} spot
   * @param {ReadonlySet<string>} later keys of cells whose number is not there yet
   * @param {string} strong key of a cell that is meant among those that belong, such as a maximum
   */
  point(state, spot, later, strong = "") {
    const links = spot ? linksOf(state, spot) : null;
    const linked = new Set(links?.spots.map(keyOf));
    const own = spot ? keyOf(spot) : "";
    for (const [key, node] of this.cells) {
      node.classList.toggle("is-linked", linked.has(key));
      node.classList.toggle("is-own", key === own);
      node.classList.toggle("is-strong", key === strong);
      node.classList.toggle("is-later", later.has(key));
    }
    if (state.settings.kind === "transposed") this.rewrite(state);
    this.back.replaceChildren();
    this.front.replaceChildren(...(spot && links ? this.frames(spot, links) : []));
  }

  /**
   * Writes into the outputs of a transposed convolution the sums of the inputs so far.
   * @param {State} state
   */
  rewrite(state) {
    const valueOf = valuesOf(state).output;
    const steps = state.step === null ? null : new Map(walk(state).map((spot, at) => [`${spot.place}`, at]));
    const { input, weights, bias } = numbersOf(state);
    const soFar = (/** @type {Term} */ term) => /** @type {number} */ (steps?.get(`${term.place}`)) <= /** @type {number} */ (state.step);
    for (const [key, node] of this.cells) {
      const text = node.querySelector(".pg-number");
      if (!key.startsWith("output.") || !text) continue;
      const place = /** @type {Place} */ (key.split(".").slice(1).map(Number));
      const terms = steps ? takes(state.settings, place).filter(soFar) : [];
      const sum = terms.reduce((all, term) => all + input[flat(term.place, state.settings.size)] * weights[term.weight], bias[place[0]]);
      text.textContent = written(steps ? sum : valueOf(place));
    }
  }

  /**
   * Keys of the outputs that an input reaches.
   * @param {State} state
   * @param {Spot} spot
   */
  reached(state, spot) {
    return linksOf(state, spot).terms.map((term) => keyOf({ side: "output", place: term.place }));
  }

  /**
   * The cell that an event happened on.
   * @param {EventTarget | null} target
   * @returns {Spot | null}
   */
  spotOf(target) {
    const key = target instanceof Element ? target.closest("[data-spot]")?.getAttribute("data-spot") : null;
    if (!key) return null;
    const [side, ...place] = key.split(".");
    return { side: /** @type {Spot["side"]} */ (side), place: /** @type {Place} */ (place.map(Number)) };
  }

  /**
   * Where a cell lies in the drawing, in pixels.
   * @param {Spot} spot
   */
  placeOf({ side, place: [channel, y, x] }) {
    return this.boxOf(side, channel, [y, y], [x, x]);
  }

  /**
   * @param {Spot} spot
   * @param {Links} links
   */
  frames(spot, links) {
    const from = this.boxOf(spot.side, spot.place[0], [spot.place[1], spot.place[1]], [spot.place[2], spot.place[2]]);
    const parts = [];
    for (const frame of links.frames) {
      const to = this.boxOf(frame.side, frame.channel, frame.rows, frame.columns);
      if (!from || !to) continue;
      const isRight = to.x + to.width <= from.x;
      const [near, far] = isRight ? [to.x + to.width, from.x] : [to.x, from.x + from.width];
      if (isRight || from.x + from.width <= to.x) this.back.append(svg("polygon", { class: "pg-beam", points: `${near},${to.y} ${far},${from.y} ${far},${from.y + from.height} ${near},${to.y + to.height}` }));
      parts.push(svg("rect", { ...to, rx: 4, class: "pg-frame" }));
    }
    if (from) parts.push(svg("rect", { ...from, rx: 4, class: "pg-frame pg-own" }));
    return parts;
  }

  /**
   * @param {Spot["side"]} side
   * @param {number} channel
   * @param {Pair} rows
   * @param {Pair} columns
   */
  boxOf(side, channel, rows, columns) {
    const grid = this.layout?.grids.find((one) => one.side === side && one.channel === channel);
    if (!grid || !this.layout) return null;
    const { cell } = this.layout;
    const [top, bottom] = [Math.max(rows[0], grid.rows[0]), Math.min(rows[1], grid.rows[1])];
    const [left, right] = [Math.max(columns[0], grid.columns[0]), Math.min(columns[1], grid.columns[1])];
    return { x: grid.x + (left - grid.columns[0]) * cell, y: grid.y + (top - grid.rows[0]) * cell, width: (right - left + 1) * cell, height: (bottom - top + 1) * cell };
  }
}

/**
 * Each side's numbers by place.
 * @param {State} state
 * @returns {Record<Spot["side"], (place: Place) => number>}
 */
export function valuesOf(state) {
  const { settings: s, channel } = state;
  const { input, weights, bias } = numbersOf(state);
  const made = outputs(s, input, weights, bias);
  const size = /** @type {Pair} */ (outputShape(s).slice(1));
  return {
    input: (place) => input[flat(place, s.size)],
    kernel: ([c, y, x]) => weights[weightIndex(s, c, channel, [y, x])],
    output: (place) => made[flat(place, size)],
  };
}
