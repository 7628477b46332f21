// @ts-check
/** Where the playground's grids stand: side by side, or above each other where the page is narrow. */

import { extent, hasWeights, outputShape, partners } from "./arithmetic.js";

/** @typedef {import("./playground_state.js").State} State */
/** @typedef {import("./playground_state.js").Spot} Spot */
/** @typedef {import("./arithmetic.js").Pair} Pair */
/** @typedef {{side: Spot["side"], channel: number, rows: Pair, columns: Pair, x: number, y: number, title: string}} Grid */
/** @typedef {{cell: number, width: number, height: number, grids: Grid[], signs: {x: number, y: number, text: string}[]}} Layout */

const MOST_CELL = 52;
const LEAST_CELL = 17;
const HEAD = 40; // title and the numbers of the columns
const SIDE = 18; // the numbers of the rows
const LETTER = 8; // mean width in a title
const GAP = 46; // between grids, with a sign in it
const MOST_PLACES = 1600; // cells a grid, beyond which nothing can be read
const TALL = 700; // pixels that channels above each other should fit

/**
 * The grids that a state has, without places on the page.
 * @param {State} state
 * @returns {Grid[]}
 */
export function gridsOf({ settings: s, channel }) {
  const isUp = s.kind === "transposed";
  const [, height, width] = outputShape(s);
  const whole = /** @type {[Pair, Pair]} */ ([extent(s, 0), extent(s, 1)]);
  const sized = (/** @type {Pair} */ [h, w]) => /** @type {[Pair, Pair]} */ ([[0, h - 1], [0, w - 1]]);
  const own = partners(s, channel, true);
  const several = s.channels > 1;
  /** @type {(side: Spot["side"], channel: number, ranges: [Pair, Pair], title: string) => Grid} */
  const grid = (side, at, [rows, columns], title) => ({ side, channel: at, rows, columns, x: 0, y: 0, title });
  const kernels = hasWeights(s.kind) ? own.map((c) => grid("kernel", c, sized(s.kernel), `Kernel ${s.kernel.join(" × ")}`)) : [];
  return [
    ...own.map((c) => grid("input", c, isUp ? sized(s.size) : whole, `Input${several ? ` ${c}:` : ""} ${s.size.join(" × ")}`)),
    ...kernels,
    grid("output", channel, isUp ? whole : sized([height, width]), `Output${outputShape(s)[0] > 1 ? ` ${channel}:` : ""} ${height} × ${width}`),
  ];
}

/** @param {Pair} range */
const count = ([first, last]) => last - first + 1;

/**
 * Places for a state's grids on so much width; null where they are too large to be read.
 * @param {State} state
 * @param {number} room pixels
 * @returns {Layout | null}
 */
export function arrange(state, room) {
  const grids = gridsOf(state);
  if (grids.some((grid) => count(grid.rows) * count(grid.columns) > MOST_PLACES)) return null;
  const columns = /** @type {const} */ (["input", "kernel", "output"]).map((side) => grids.filter((grid) => grid.side === side)).filter((list) => list.length);
  const wide = columns.map((list) => count(list[0].columns));
  const titles = columns.map((list, at) => Math.max(0, LETTER * list[0].title.length - 24 * wide[at]));
  const gaps = GAP * (columns.length - 1) + SIDE * columns.length + Math.max(...titles);
  const most = Math.min(MOST_CELL, Math.max(26, (TALL - HEAD * columns[0].length) / (count(columns[0][0].rows) * columns[0].length)));
  const cell = Math.floor(Math.min(most, (room - gaps) / wide.reduce((sum, value) => sum + value, 0)));
  return cell >= 24 || columns.length === 1 ? besides(columns, cell, state) : stacked(columns, room, state);
}

/**
 * @param {Grid[][]} columns
 * @param {number} cell
 * @param {State} state
 * @returns {Layout}
 */
function besides(columns, cell, state) {
  const tall = Math.max(...columns.map((list) => list.reduce((sum, grid) => sum + HEAD + count(grid.rows) * cell, 0)));
  const [first] = columns[0];
  const step = HEAD + Math.max(count(first.rows), columns.length > 2 ? count(columns[1][0].rows) : 0) * cell;
  const height = Math.max(tall, step * columns[0].length);
  const signs = [];
  let x = 0;
  for (const [index, list] of columns.entries()) {
    const isLast = index === columns.length - 1;
    list.forEach((grid, at) => {
      const room = isLast ? height : step;
      grid.x = x + SIDE;
      grid.y = HEAD + at * step + Math.max(0, (room - HEAD - count(grid.rows) * cell) / 2);
    });
    x += SIDE + Math.max(count(list[0].columns) * cell, LETTER * list[0].title.length);
    if (isLast) break;
    const isNextLast = index === columns.length - 2;
    const places = isNextLast ? [height / 2] : list.map((_, at) => (at + 0.5) * step);
    for (const y of places) signs.push({ x: x + GAP / 2 + 5, y: y + HEAD / 2, text: sign(state, isNextLast) });
    x += GAP;
  }
  return { cell, width: x + 2, height: height + 4, grids: columns.flat(), signs };
}

/**
 * For narrow pages: the input above, kernel and output below it.
 * @param {Grid[][]} columns
 * @param {number} room
 * @param {State} state
 * @returns {Layout}
 */
function stacked(columns, room, state) {
  const output = columns[columns.length - 1][0];
  const kernels = columns.length > 2 ? columns[1] : [];
  const pairWide = kernels.length ? count(kernels[0].columns) + count(columns[0][0].columns) : count(columns[0][0].columns);
  const isPaired = kernels.length > 0 && (room - GAP - 2 * SIDE) / pairWide >= 22;
  const widest = Math.max(isPaired ? pairWide : count(columns[0][0].columns), count(output.columns), isPaired ? 0 : count(kernels[0]?.columns ?? [0, 0]));
  const cell = Math.max(LEAST_CELL, Math.floor(Math.min(40, (room - SIDE - 2 - (isPaired ? GAP + SIDE : 0)) / widest)));
  const signs = [];
  let y = 0;
  for (const [index, grid] of columns[0].entries()) {
    grid.x = SIDE;
    grid.y = y + HEAD;
    const kernel = kernels[index];
    if (kernel) {
      kernel.x = isPaired ? SIDE + count(grid.columns) * cell + GAP + SIDE : SIDE;
      kernel.y = isPaired ? grid.y + Math.max(0, ((count(grid.rows) - count(kernel.rows)) * cell) / 2) : grid.y + count(grid.rows) * cell + HEAD;
      if (isPaired) signs.push({ x: kernel.x - SIDE - GAP / 2 + 5, y: grid.y + (count(grid.rows) * cell) / 2, text: sign(state, false) });
    }
    y = Math.max(grid.y + count(grid.rows) * cell, kernel ? kernel.y + count(kernel.rows) * cell : 0);
  }
  output.x = SIDE;
  output.y = y + HEAD + 6;
  for (const kernel of kernels) if (isPaired) kernel.title = "Kernel";
  const right = Math.max(...columns.flat().map((grid) => grid.x + Math.max(count(grid.columns) * cell, LETTER * grid.title.length)));
  return { cell, width: right + 2, height: output.y + count(output.rows) * cell + 4, grids: columns.flat(), signs };
}

/**
 * @param {State} state
 * @param {boolean} isLast
 */
function sign({ settings: { kind } }, isLast) {
  if (!isLast) return kind === "transposed" ? "×" : "∗";
  return { conv: "=", transposed: "=", max: "max", average: "mean" }[kind];
}
