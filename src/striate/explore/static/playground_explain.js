// @ts-check
/** The playground's sentences on a cell: how an output is worked, what an input reaches, where a weight is used. */

import { divisor, flat, hasWeights, output, outputShape } from "./arithmetic.js";
import { h } from "./dom.js";
import { keyOf, linksOf, valuesOf, written } from "./playground_stage.js";
import { numbersOf } from "./playground_state.js";

/** @typedef {import("./playground_state.js").State} State */
/** @typedef {import("./playground_state.js").Spot} Spot */
/** @typedef {import("./arithmetic.js").Term} Term */
/** @typedef {import("./arithmetic.js").Place} Place */

const MOST_TERMS = 81;

/**
 * @param {State} state
 * @param {Spot} spot
 * @returns {{element: HTMLElement, strong: string}} `strong` is the key of the cell that decides
 */
export function explain(state, spot) {
  const { settings: s } = state;
  const limits = { input: s.size, output: outputShape(s).slice(1), kernel: s.kernel }[spot.side];
  const isInside = spot.place.slice(1).every((at, axis) => at >= 0 && at < limits[axis]);
  if (!isInside) return { element: h("div", {}, heading(outside(state, spot))), strong: "" };
  if (spot.side === "output") return worked(state, spot);
  return { element: spot.side === "input" ? reached(state, spot) : shared(state, spot), strong: "" };
}

/** @param {...(Node | string)} parts */
const heading = (...parts) => h("p.pg-heading", {}, parts);

/** @param {number[]} place */
const brackets = (place) => `[${place.join(", ")}]`;

/** @param {number} value */
const full = (value) => written(value, 7);

/**
 * @param {State} state
 * @param {Spot} spot
 */
function outside({ settings: s }, spot) {
  if (spot.side === "output") return "Cut off: the padding of a transposed convolution takes this row or column away.";
  const isBeyond = spot.place.slice(1).some((at, axis) => at >= s.size[axis] + s.padding[axis]);
  if (isBeyond) return "Beyond the padding: rounding up lets the last window reach here; nothing is counted.";
  if (s.kind === "max") return "Padding: never the largest.";
  if (s.kind === "average") return s.countPadding ? "Padding: a 0 that counts in the mean." : "Padding: not counted in the mean.";
  return "Padding: counts as 0.";
}

/**
 * How an output comes about, channel by channel.
 * @param {State} state
 * @param {Spot} spot
 */
function worked(state, spot) {
  const { settings: s } = state;
  const { input, weights, bias } = numbersOf(state);
  const { value, terms, winner } = output(s, spot.place, input, weights, bias);
  const numberOf = (/** @type {Term} */ term) => (term.inside ? input[flat(term.place, s.size)] : 0);
  const head = heading(h("b", {}, `output${brackets(spot.place)}`), ` = ${full(value)}`);
  const strong = winner < 0 ? "" : keyOf({ side: "input", place: terms[winner].place });
  if (s.kind === "max") {
    const parts = terms.map((term, at) => chip(term, term.inside ? written(numberOf(term)) : "padding", at === winner));
    return { element: h("div", {}, head, equation("max", parts, ", ")), strong };
  }
  if (s.kind === "average") {
    const parts = terms.map((term) => chip(term, written(numberOf(term))));
    return { element: h("div", {}, head, equation("", parts, " + ", ` ÷ ${divisor(s, spot.place)}`)), strong };
  }
  return { element: h("div", {}, head, channelRows(state, terms, numberOf, weights, bias[spot.place[0]])), strong };
}

/**
 * @param {State} state
 * @param {Term[]} terms
 * @param {(term: Term) => number} numberOf
 * @param {number[]} weights
 * @param {number} bias
 */
function channelRows({ settings: s }, terms, numberOf, weights, bias) {
  const channels = [...new Set(terms.map((term) => term.place[0]))];
  if (!channels.length) return h("p.pg-equation", {}, `No input reaches it${bias ? `: only the bias ${written(bias)}` : ""}.`);
  const rows = channels.map((channel) => {
    const own = terms.filter((term) => term.place[0] === channel);
    const sum = own.reduce((all, term) => all + numberOf(term) * weights[term.weight], 0);
    const parts = own.map((term) => chip(term, h("span", {}, `${written(numberOf(term))}·${signed(weights[term.weight])}`)));
    return equation(s.channels > 1 && channels.length > 1 ? `channel ${channel}` : "", parts, " + ", ` = ${full(sum)}`);
  });
  return h("div", {}, rows, bias ? h("p.pg-equation", {}, `bias ${written(bias)}`) : null);
}

/** @param {number} value */
const signed = (value) => (value < 0 ? `(${written(value)})` : written(value));

/**
 * A term, which marks its cells when it is pointed at.
 * @param {Term} term of an output
 * @param {Node | string} text
 * @param {boolean} isStrong
 */
function chip(term, text, isStrong = false) {
  const cells = [keyOf({ side: "input", place: term.place }), keyOf({ side: "kernel", place: [term.place[0], ...term.tap] })].join(" ");
  return h(`span.pg-term${term.inside ? "" : ".pg-pad"}${isStrong ? ".pg-winner" : ""}`, { "data-cells": cells }, text);
}

/**
 * @param {string} name
 * @param {HTMLElement[]} parts
 * @param {string} sign between the parts
 * @param {string} end
 */
function equation(name, parts, sign, end = "") {
  const shown = parts.slice(0, MOST_TERMS).flatMap((part, at) => (at ? [sign, part] : [part]));
  const more = parts.length > MOST_TERMS ? ` … and ${parts.length - MOST_TERMS} more` : "";
  return h("p.pg-equation", {}, name ? h("span.pg-name", {}, name) : null, shown, more, end);
}

/**
 * What an input reaches.
 * @param {State} state
 * @param {Spot} spot
 */
function reached(state, spot) {
  const { settings: s } = state;
  const { input, weights } = numbersOf(state);
  const value = input[flat(spot.place, s.size)];
  const { terms } = linksOf(state, spot);
  const many = `${terms.length} output${terms.length === 1 ? "" : "s"}`;
  const head = heading(h("b", {}, `input${brackets(spot.place)}`), ` = ${full(value)} `, terms.length ? `feeds ${many}` : "feeds no output: no window reads it");
  const parts = terms.map((term) => {
    const cells = [keyOf({ side: "output", place: term.place }), keyOf({ side: "kernel", place: [spot.place[0], ...term.tap] })].join(" ");
    const text = hasWeights(s.kind) ? `output${brackets(term.place)}: ${written(value)}·${signed(weights[term.weight])} = ${full(value * weights[term.weight])}` : `output${brackets(term.place)}`;
    return h("span.pg-term", { "data-cells": cells }, text);
  });
  return h("div", {}, head, equation("", parts, "  "));
}

/**
 * Where a weight is used.
 * @param {State} state
 * @param {Spot} spot
 */
function shared(state, spot) {
  const { terms } = linksOf(state, spot);
  const value = valuesOf(state).kernel(spot.place);
  const inside = terms.filter((term) => term.inside).length;
  const places = `one of ${terms.length} places of the window`.replace("one of 1 places", "the one place");
  const padded = terms.length - inside;
  const text = state.settings.kind === "transposed" ? `is used by ${inside} outputs of this channel` : `is used at each ${places}: ${inside} times on an input${padded ? `, ${padded} times on padding` : ""}`;
  return h("div", {}, heading(h("b", {}, `weight${brackets([state.channel, ...spot.place])}`), ` = ${full(value)} `, text.replace("each one of", "each of the")));
}
