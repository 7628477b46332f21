// The sum behind a number: grids of patch x kernel = products, the parts of each channel, and the account beside it.

import { cssOf } from "../colour.js";
import { h, num, table } from "../dom.js";
import { kindOf, nameOf, operationOf } from "../words.js";
import { limits, scaleOf } from "./flow.js";

const MAX_GRIDS = 6;
const MAX_ROWS = 24;
const MAX_SIDE = 11;

/** @typedef {{ parent: number, channel: number, at: number[], sum: number }} Part the terms of one channel of one input */

/**
 * The terms of each channel of each input, the largest part first.
 * @param {any} head
 * @param {any} arrays
 * @returns {Part[]}
 */
function parts(head, arrays) {
  /** @type {Map<string, Part>} */
  const found = new Map();
  head.terms.forEach((/** @type {any} */ term, /** @type {number} */ place) => {
    const [values, weights, cells] = ["values", "weights", "cells"].map((name) => arrays[`${place}.${name}`]);
    const inChannel = term.shape.length > 1 ? values.length / term.shape[0] : 0;
    for (let i = 0; i < values.length; i++) {
      const channel = inChannel ? firstChannel(cells, i, inChannel) : cells[3 * i];
      const key = `${place} ${channel}`;
      /** @type {Part} */
      const part = found.get(key) || { parent: term.parent, channel, at: [], sum: 0 };
      part.at.push(i);
      part.sum += values[i] * (weights ? weights[i] : 1);
      found.set(key, part);
    }
  });
  return [...found.values()].sort((a, b) => Math.abs(b.sum) - Math.abs(a.sum));
}

/**
 * The channel of a term; padding has that of its neighbours under the same kernel.
 * @param {Int32Array} cells
 * @param {number} at
 * @param {number} inChannel
 */
function firstChannel(cells, at, inChannel) {
  const start = Math.floor(at / inChannel) * inChannel;
  for (let i = start; i < start + inChannel; i++) if (cells[3 * i] >= 0) return cells[3 * i];
  return -1 - Math.floor(at / inChannel);
}

/**
 * What stands below the maps: the grids of the channels whose part is the largest.
 * @param {any} pass
 * @param {any} operation
 * @param {any} head
 * @param {any} arrays
 */
export function products(pass, operation, head, arrays) {
  if (!head.terms.length) return [];
  const shape = head.terms[0].shape;
  const isGrid = head.terms.length === 1 && shape.length === 3 && shape[1] * shape[2] > 1;
  if (!isGrid) return [];
  const all = parts(head, arrays);
  const values = arrays["0.values"];
  const weights = arrays["0.weights"];
  const scales = { value: scaleOf(...limits(values)), weight: weights ? scaleOf(...limits(weights)) : null };
  const rows = all.slice(0, MAX_GRIDS).map((part) => gridRow(part, arrays, shape, scales, head.terms[0].winner));
  const rest = all.length > MAX_GRIDS ? h("p.note", {}, `${all.length - MAX_GRIDS} more channels; all of them stand in the table that "CSV" copies.`) : null;
  const title = { sum: weights ? "Patch × kernel = products" : "Patch", maximum: "The largest counts", function: "Values" };
  return [h("h2", {}, title[/** @type {"sum"} */ (head.how)] || "Values"), h("div.grid-rows", {}, rows), rest];
}

/**
 * @param {Part} part
 * @param {any} arrays
 * @param {number[]} shape
 * @param {any} scales
 * @param {number | null} winner
 */
function gridRow(part, arrays, shape, scales, winner) {
  const [values, weights, read] = ["values", "weights", "read"].map((name) => arrays[`0.${name}`]);
  const [, high, wide] = shape;
  const cell = (/** @type {(i: number) => number} */ of, /** @type {any} */ scale) => grid(part.at, high, wide, of, scale, read, winner);
  const name = part.channel >= 0 ? `channel ${part.channel}` : "padding only";
  const tables = weights
    ? [cell((i) => values[i], scales.value), h("span.sign", {}, "×"), cell((i) => weights[i], scales.weight), h("span.sign", {}, "="), cell((i) => values[i] * weights[i], null), h("span.sign", {}, "Σ"), h("strong.mono", { "data-part": part.channel }, num(part.sum))]
    : [cell((i) => values[i], scales.value)];
  return h("div.grid-row", {}, h("span.note.grid-name", {}, name), tables);
}

/**
 * @param {number[]} at
 * @param {number} high
 * @param {number} wide
 * @param {(i: number) => number} of
 * @param {any} scale
 * @param {Uint8Array} read
 * @param {number | null} winner
 */
function grid(at, high, wide, of, scale, read, winner) {
  const [shownHigh, shownWide] = [Math.min(high, MAX_SIDE), Math.min(wide, MAX_SIDE)];
  const rows = [];
  for (let y = 0; y < shownHigh; y++) {
    const cells = [];
    for (let x = 0; x < shownWide; x++) {
      const i = at[y * wide + x];
      const value = of(i);
      const isRead = read[i] === 1;
      const one = h(winner === i ? "td.cell.winner" : isRead ? "td.cell" : "td.cell.padding", { title: isRead ? String(value) : "no input here: padding" }, isRead || of(i) !== 0 ? num(value, 3) : "·");
      if (isRead && scale) {
        const { back, ink } = cssOf(value, scale);
        one.style.background = back;
        one.style.color = ink;
      }
      cells.push(one);
    }
    rows.push(h("tr", {}, cells));
  }
  const cut = high > shownHigh || wide > shownWide ? h("caption.note", {}, `the first ${shownHigh} × ${shownWide} of ${high} × ${wide}`) : null;
  return h("table.numbers", {}, cut, h("tbody", {}, rows));
}

/**
 * What stands in the inspector: a sentence, the parts, what is added, the total and what the network stored.
 * @param {any} pass
 * @param {any} operation
 * @param {any} head
 * @param {any} arrays
 * @param {(to: Record<string, any>) => void} set
 */
export function account(pass, operation, head, arrays, set) {
  const [channel, y, x] = head.cell;
  const all = head.terms.length ? parts(head, arrays) : [];
  return [
    h("h2", {}, nameOf(pass, operation.index)),
    h("p.note", {}, `channel ${channel}, row ${y}, column ${x}`),
    h("p.result.mono", { "data-stored": head.stored }, num(head.stored)),
    h("p", {}, sentence(pass, operation, head, all)),
    h("dl.facts", {}, [...Object.entries(head.added), ...Object.entries(head.numbers)].map(([name, value]) => fact(name, /** @type {number} */ (value))),
      fact(head.how === "again" ? "worked out again, in float64" : "total in float64", head.total, "total"), fact("stored by the network", head.stored, "stored"), fact("difference", head.difference, "difference")),
    head.how === "sum" && all.length > 1 ? partTable(pass, operation, head, all, set) : readTable(pass, head, arrays, set),
    head.after.length ? [h("h3", {}, "Then"), h("dl.facts", {}, head.after.map((/** @type {any} */ one) => [h("dt", {}, h("button.quiet", { onclick: () => set({ op: one.op }) }, one.name)), h("dd.mono", {}, num(one.value))]))] : null,
  ];
}

/**
 * @param {string} name
 * @param {number} value
 * @param {string} [key]
 */
function fact(name, value, key = name) {
  return [h("dt", {}, name), h("dd.mono", { "data-value": value, "data-name": key }, num(value, name === "difference" ? 2 : 8))];
}

/**
 * @param {any} pass
 * @param {any} operation
 * @param {any} head
 * @param {Part[]} all
 * @param {(to: Record<string, any>) => void} set
 */
function partTable(pass, operation, head, all, set) {
  const [, y, x] = head.cell;
  const name = (/** @type {Part} */ part) => (head.terms.length > 1 ? nameOf(pass, part.parent) : part.channel < 0 ? "padding only" : `channel ${part.channel}`);
  const link = (/** @type {Part} */ part) => part.parent < 0 || part.channel < 0 ? name(part) : h("button.quiet", { onclick: () => set({ op: part.parent, channel: part.channel, y: near(pass, part.parent, operation, y, 1), x: near(pass, part.parent, operation, x, 2) }) }, name(part));
  const rows = all.slice(0, MAX_ROWS).map((part) => [link(part), num(part.sum)]);
  const rest = all.slice(MAX_ROWS).reduce((sum, part) => sum + part.sum, 0) + head.terms.reduce((/** @type {number} */ sum, /** @type {any} */ term) => sum + term.rest, 0);
  if (all.length > MAX_ROWS) rows.push([`${all.length - MAX_ROWS} more`, num(rest)]);
  return table(["part", ">sum"], rows);
}

/**
 * A place in a parent's map that lies where one lies in the output.
 * @param {any} pass
 * @param {number} parent
 * @param {any} operation
 * @param {number} place
 * @param {number} axis
 */
function near(pass, parent, operation, place, axis) {
  const [from, to] = [operation.shape[axis], operationOf(pass, parent).shape[axis]];
  return Math.min(to - 1, Math.floor(((place + 0.5) * to) / from));
}

/**
 * @param {any} pass
 * @param {any} head
 * @param {any} arrays
 * @param {(to: Record<string, any>) => void} set
 */
function readTable(pass, head, arrays, set) {
  /** @type {any[][]} */
  const rows = [];
  head.terms.forEach((/** @type {any} */ term, /** @type {number} */ place) => {
    const [values, read, cells] = ["values", "read", "cells"].map((name) => arrays[`${place}.${name}`]);
    for (let i = 0; i < values.length && rows.length < MAX_ROWS; i++) {
      const [channel, y, x] = cells.subarray(3 * i, 3 * i + 3);
      const text = read[i] ? `${channel}, ${y}, ${x}` : "padding";
      const from = term.parent < 0 || !read[i] ? text : h("button.quiet", { title: nameOf(pass, term.parent), onclick: () => set({ op: term.parent, channel, y, x }) }, text);
      rows.push([from, h(term.winner === i ? "strong.winner-text" : "span", {}, num(values[i]) + (term.winner === i && head.how === "maximum" ? " ←" : ""))]);
    }
  });
  return rows.length ? table(["read from", ">value"], rows) : null;
}

/**
 * @param {any} pass
 * @param {any} operation
 * @param {any} head
 * @param {Part[]} all
 */
function sentence(pass, operation, head, all) {
  const count = head.terms.reduce((/** @type {number} */ sum, /** @type {any} */ term) => sum + term.count, 0);
  const from = operation.parents.map((/** @type {number} */ one) => nameOf(pass, one)).join(" and ");
  const n = head.numbers;
  if (operation.kind === "batch_norm") return `(x − mean) / √(variance + eps) × gamma + beta, with x from ${from}: each channel has its own four numbers.`;
  if (head.how === "maximum") return `The largest of ${count} values of ${from}; the arrow shows the winner.`;
  if (head.how === "copy") return head.terms.length ? `A copy of one number of ${nameOf(pass, head.terms[0].parent)}.` : "A constant: the border that was added has no input.";
  if (operation.kind === "softmax") return `exp of this output over the sum of the exp of all ${count}: ${num(n["exp of this one"])} / ${num(n["sum of all exp"])}.`;
  if (operation.kind === "multiply") return `The product of what stands at this place in ${from}.`;
  if (head.how === "function") return `${operation.name} of the number at this place of ${from}.`;
  if (head.how === "again") return `A ${kindOf(operation)} is not taken apart here; it was done again in float64.`;
  const what = all.length > 1 && operation.kind !== "add" ? ` in ${all.length} channels` : "";
  return operation.kind === "add" ? `The sum of what stands at this place in ${from}.` : `The sum of ${count} products${what} of ${from}${head.added.bias !== undefined ? ", and a bias" : ""}.`;
}
