// Elements without markup: text is always text.

/** @typedef {Node | string | number | null | undefined | false | any[]} Child */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element: h("button.primary", { onclick, "aria-label": "..." }, "Go").
 * @param {string} what tag, then classes, each after a dot
 * @param {Record<string, any>} [attributes] `onNAME` is a listener; false and null are left out
 * @param {...Child} children
 * @returns {any}
 */
export function h(what, attributes = {}, ...children) {
  return filled(document.createElement(what.split(".")[0]), what, attributes, children);
}

/**
 * Make an SVG element, like `h`.
 * @param {string} what
 * @param {Record<string, any>} [attributes]
 * @param {...Child} children
 * @returns {any}
 */
export function svg(what, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, what.split(".")[0]), what, attributes, children);
}

/**
 * @param {Element} element
 * @param {string} what
 * @param {Record<string, any>} attributes
 * @param {Child[]} children
 */
function filled(element, what, attributes, children) {
  const [, ...classes] = what.split(".");
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  add(element, children);
  return element;
}

/**
 * @param {Element} element
 * @param {Child[]} children
 */
function add(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) add(element, child);
    else if (child instanceof Node) element.append(child);
    else if (child !== null && child !== undefined && child !== false) element.append(String(child));
  }
}

/**
 * Put other children into an element.
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  element.replaceChildren();
  add(element, children);
}

/**
 * An icon from one path of 16 x 16.
 * @param {string} path
 */
export function icon(path) {
  const line = svg("path", { d: path, fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
  line.setAttribute("stroke-linecap", "round");
  line.setAttribute("stroke-linejoin", "round");
  return svg("svg.icon", { viewBox: "0 0 16 16", "aria-hidden": "true" }, line);
}

/**
 * A number with 6 significant digits and a true minus sign; n/a for what is none.
 * @param {number | null | undefined} value
 * @param {number} [digits]
 */
export function num(value, digits = 6) {
  if (value === null || value === undefined) return "n/a";
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "NaN" : value > 0 ? "∞" : "−∞";
  const size = Math.abs(value);
  const plain = size === 0 || (size >= 1e-4 && size < 10 ** Math.max(digits, 6));
  const rounded = Number(value.toPrecision(digits));
  return (plain ? rounded.toString() : rounded.toExponential()).replaceAll("-", "−").replace("e+", "e");
}

/**
 * A table: columns that begin with ">" are numbers and end at the same place.
 * @param {string[]} columns
 * @param {Child[][]} rows
 */
export function table(columns, rows) {
  const sides = columns.map((name) => (name.startsWith(">") ? "td.num" : "td"));
  const head = columns.map((name, i) => h(sides[i].replace("td", "th"), { scope: "col" }, name.replace(/^>/, "")));
  const body = rows.map((row) => h("tr", {}, row.map((cell, i) => h(sides[i], {}, cell))));
  return h("div.scroll", {}, h("table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body)));
}
