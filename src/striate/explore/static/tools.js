// What every view can give away: its link, its numbers, PyTorch code, and its drawing.

import { h } from "./dom.js";

/** @typedef {import("./types.js").Mounted} Mounted */
/** @typedef {import("./types.js").Table} Table */

/** @param {() => Mounted} current */
export function toolbar(current) {
  const said = h("span.said", { role: "status" }, "");
  const say = (/** @type {string} */ text) => {
    said.textContent = text;
    setTimeout(() => said.textContent === text && (said.textContent = ""), 1600);
  };
  const copy = (/** @type {string} */ text, /** @type {string} */ what) => copied(text).then(() => say(`${what} copied`), () => showText(text));
  const link = h("button.quiet", { "data-copy": "link", onclick: () => copy(location.href, "Link") }, "Copy link");
  const csv = h("button.quiet", { "data-copy": "csv", onclick: () => copy(toCsv(/** @type {any} */ (current()).numbers()), "CSV") }, "CSV");
  const json = h("button.quiet", { "data-copy": "json", onclick: () => copy(toJson(/** @type {any} */ (current()).numbers()), "JSON") }, "JSON");
  const code = h("button.quiet", { "data-copy": "code", onclick: () => copy(/** @type {any} */ (current()).code(), "Code") }, "PyTorch");
  const image = h("button.quiet", { "data-copy": "image", onclick: () => save(/** @type {any} */ (current()).drawing()) }, "Save image");
  const bar = h("div.toolbar", {}, said, link, csv, json, code, image);
  bar.refresh = () => {
    const { numbers, code: source, drawing } = current();
    csv.hidden = json.hidden = !numbers;
    code.hidden = !source;
    image.hidden = !drawing;
  };
  bar.refresh();
  return bar;
}

/** @param {string} text */
async function copied(text) {
  await navigator.clipboard.writeText(text);
}

/**
 * Where the browser lets nothing be copied: the text, to be copied by hand.
 * @param {string} text
 */
function showText(text) {
  const area = h("textarea", { readonly: true, rows: 12, "aria-label": "Text to copy" });
  area.value = text;
  const dialog = h("dialog", {}, h("p", {}, "The browser does not let the page copy. Copy it from here:"), area, h("button", { onclick: () => dialog.close() }, "Close"));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  area.select();
}

/**
 * CSV in which no cell is a formula for a spreadsheet: text that begins like one gets an apostrophe.
 * @param {Table} table
 */
export function toCsv({ columns, rows }) {
  const cell = (/** @type {string | number | null} */ value) => {
    if (value === null || typeof value === "number") return value === null || !Number.isFinite(value) ? "" : String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** @param {Table} table */
export function toJson({ columns, rows }) {
  return JSON.stringify(rows.map((row) => Object.fromEntries(row.map((value, i) => [columns[i], value]))), null, 1);
}

/** @param {HTMLCanvasElement | SVGElement | null} drawing */
function save(drawing) {
  if (!drawing) return;
  const isCanvas = drawing instanceof HTMLCanvasElement;
  const link = h("a", { download: isCanvas ? "striate.png" : "striate.svg" });
  if (isCanvas) link.href = drawing.toDataURL("image/png");
  else {
    const copy = /** @type {SVGElement} */ (drawing.cloneNode(true));
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    link.href = URL.createObjectURL(new Blob([new XMLSerializer().serializeToString(copy)], { type: "image/svg+xml" }));
  }
  link.click();
}
