// The rows of a network: what each costs and sees, for an image of any size; its drawing, and what is odd about it.

import { fill, h, num } from "../dom.js";
import { address, json } from "../net.js";

const SIDES = { min: 8, max: 512, step: 8 };
const WAIT_MS = 90; // a slider's steps come faster than answers

/** @typedef {{ index: number, name: string, block: string, out_shape: number[], parameters: number, trainable: number, macs: number, receptive_field_hw: number[], jump_hw: number[], start_hw: number[], activation_bytes: number, is_global: boolean }} Layer */
/** @typedef {{ kind: string, row: string, is_note: boolean, text: string }} Issue */
/** @typedef {{ name: string, channels: number, size_hw: number[], layers: Layer[], parameters: number, trainable: number, macs: number, depth: number, size_mb: number, activation_bytes: number, issues: Issue[], is_rebuilt: boolean, has_drawing: boolean }} Walk */

/**
 * @param {HTMLElement} main
 * @param {import("../types.js").Context} context
 * @returns {Promise<import("../types.js").Mounted>}
 */
export async function mount(main, context) {
  const own = context.model.input.size_hw;
  /** @type {Map<string, Walk>} */
  const known = new Map();
  /** @type {Walk} */
  let walk;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let wait;
  const slider = h("input", { type: "range", ...SIDES, "aria-label": "Image size, both sides", oninput: () => later([slider.value, slider.value]) });
  const sides = ["Height", "Width"].map((name) => h("input", { type: "number", min: 1, max: 2048, "aria-label": `${name} of the image in pixels`, onchange: () => later(sides.map((one) => one.value)) }));
  const reset = h("button.quiet", { onclick: () => context.set({ size: null }) }, "Its own size");
  const search = h("input", { type: "text", placeholder: "Find: 14×14, conv, stage3", "aria-label": "Find rows by shape, block or name", oninput: () => context.set({ find: search.value || null }, true) });
  const totals = h("dl.arch-totals");
  const said = h("p.note");
  const odd = h("ul.arch-issues");
  const image = h("img.arch-drawing", { alt: "The network as a drawing: boxes to scale, from the image to the answer" });
  const place = h("div");
  const size = h("div.arch-size", {}, h("span", {}, "Image size"), slider, sides[0], "×", sides[1], reset);
  fill(main, h("div.controls", {}, size, search), totals, said, h("div.arch-sheet", {}, image), odd, place);
  image.addEventListener("error", () => (image.parentElement.hidden = true));

  /** @param {string[]} both */
  function later(both) {
    clearTimeout(wait);
    const text = both.map((side) => Math.min(2048, Math.max(1, Math.round(Number(side)) || 1))).join("x");
    wait = setTimeout(() => context.set({ size: text === own.join("x") ? null : text }, true), WAIT_MS);
  }

  /** @param {string} text */
  async function read(text) {
    const [height, width] = text.split("x");
    const path = `/api/models/${context.model.id}/architecture`;
    if (!known.has(text)) known.set(text, await json(path, { h: height, w: width }, context.signal));
    return /** @type {Walk} */ (known.get(text));
  }

  /** @param {import("../types.js").State} state */
  async function update(state) {
    const text = /^\d{1,4}x\d{1,4}$/.test(state.size || "") ? state.size : own.join("x");
    const [height, width] = text.split("x");
    [sides[0].value, sides[1].value] = [height, width];
    slider.value = height;
    reset.hidden = text === own.join("x");
    if (document.activeElement !== search) search.value = state.find || "";
    const found = await read(text);
    if (text !== sides.map((one) => one.value).join("x")) return; // the slider has moved on
    if (found !== walk) summary(found, text);
    walk = found;
    rows(state);
  }

  /**
   * @param {Walk} found
   * @param {string} text
   */
  function summary(found, text) {
    const facts = [
      ["Parameters", whole(found.parameters)],
      ["Trainable", found.trainable === found.parameters ? "all" : whole(found.trainable)],
      ["Multiply-adds", `${short(found.macs)}`],
      ["Activations", bytes(found.activation_bytes)],
      ["Weights", `${num(found.size_mb, 3)} MB`],
      ["Layers deep", `${found.depth}`],
    ];
    fill(totals, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    fill(said, "For one image in float32; 1 multiply-add (MAC) is one multiplication and one addition, about 2 FLOP.", found.is_rebuilt ? h("strong", {}, ` A layer is tied to the image size, so at ${text.replace("x", " × ")} it would have other parameters than this network has.`) : null);
    image.parentElement.hidden = !found.has_drawing;
    const [height, width] = found.size_hw;
    if (found.has_drawing) image.src = address(`/api/models/${context.model.id}/drawing`, { h: height, w: width });
    const entry = (/** @type {Issue} */ one) => h(`li${one.is_note ? "" : ".is-warning"}`, {}, h("strong", {}, one.is_note ? "Note" : "Warning"), one.row ? h("button.quiet", { onclick: () => choose(one.row) }, one.row) : null, h("span", {}, one.text));
    fill(odd, found.issues.length ? found.issues.map(entry) : h("li", {}, h("strong", {}, "Nothing odd"), h("span", {}, "every weight is used, every pixel is read")));
  }

  /** @param {import("../types.js").State} state */
  function rows(state) {
    const wanted = plain(state.find || "");
    const shown = walk.layers.filter((layer) => [layer.name, layer.block, shape(layer)].some((text) => plain(text).includes(wanted)));
    const hasFrozen = walk.trainable !== walk.parameters;
    const heads = ["Row", "Block", "Output", ">Parameters", ...(hasFrozen ? [">Trainable"] : []), ">Multiply-adds", ">Memory", ">Field", ">Jump", ">Start"];
    const total = walk.layers.reduce((sum, layer) => sum + layer.activation_bytes, 0);
    const body = shown.map((layer) => {
      const cells = [
        h("td.num", {}, whole(layer.parameters)),
        ...(hasFrozen ? [h("td.num", {}, whole(layer.trainable))] : []),
        h("td.num", {}, short(layer.macs)),
        h("td.num", {}, bytes(layer.activation_bytes)),
      ];
      bar(cells[0], layer.parameters / walk.parameters);
      bar(cells[cells.length - 2], layer.macs / walk.macs);
      bar(cells[cells.length - 1], layer.activation_bytes / total);
      const sees = layer.is_global ? ["all", "", ""] : [pair(layer.receptive_field_hw), pair(layer.jump_hw), pair(layer.start_hw)];
      const name = h("button.quiet", { onclick: () => choose(layer.name), "aria-pressed": String(state.row === layer.name) }, layer.name);
      return h("tr", { "data-row": layer.name, "aria-selected": String(state.row === layer.name) }, h("td", {}, name), h("td", {}, layer.block), h("td.mono", {}, shape(layer)), cells, sees.map((text) => h("td.num", {}, text)));
    });
    const head = heads.map((name) => h(name.startsWith(">") ? "th.num" : "th", { scope: "col" }, name.replace(">", "")));
    const table = h("table.arch-table", {}, h("thead", {}, h("tr", {}, head)), h("tbody", {}, body));
    fill(place, shown.length ? h("div.scroll", {}, table) : h("p.empty", {}, `No row has “${state.find}” in its name, block or shape.`));
    inspect(walk.layers.find((layer) => layer.name === state.row));
  }

  /** @param {Layer | undefined} layer */
  function inspect(layer) {
    if (!layer) return fill(context.inspector, h("p.note", {}, "Choose a row to read what it does. ", h("kbd", {}, "["), " ", h("kbd", {}, "]"), " go through the rows."));
    const facts = [
      ["Output", shape(layer)],
      ["Parameters", `${whole(layer.parameters)} (${share(layer.parameters, walk.parameters)})`],
      ["Trainable", whole(layer.trainable)],
      ["Multiply-adds", `${whole(layer.macs)} (${share(layer.macs, walk.macs)})`],
      ["Activations", bytes(layer.activation_bytes)],
      ["Receptive field", layer.is_global ? "the whole image" : `${pair(layer.receptive_field_hw)} pixels`],
      ["Jump", layer.is_global ? "" : `${pair(layer.jump_hw)} pixels`],
      ["Start", layer.is_global ? "" : `${pair(layer.start_hw)}`],
    ];
    const odds = walk.issues.filter((one) => one.row === layer.name);
    return fill(
      context.inspector,
      h("h2", {}, layer.name),
      h("p", {}, sentence(layer, walk)),
      h("dl.facts", {}, facts.filter(([, value]) => value).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      odds.map((one) => h("p.note", {}, `${one.is_note ? "Note" : "Warning"}: ${one.text}`)),
      h("button", { onclick: () => context.set({ view: "flow", row: layer.name, op: null, channel: null }) }, "See its maps"),
    );
  }

  /** @param {string} row */
  const choose = (row) => context.set({ row }, true);

  /** @param {number} step */
  function move(step) {
    const at = walk.layers.findIndex((layer) => layer.name === context.state().row);
    const next = walk.layers[Math.min(walk.layers.length - 1, Math.max(0, at + step))];
    choose(next.name);
    place.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest" });
    return true;
  }

  await update(context.state());
  return {
    update,
    key: (event) => (event.key === "]" ? move(1) : event.key === "[" ? move(-1) : false),
    numbers: () => ({
      columns: ["row", "block", "output", "parameters", "trainable", "macs", "activation_bytes", "field_h", "field_w", "jump_h", "jump_w", "start_h", "start_w"],
      rows: walk.layers.map((one) => [one.name, one.block, one.out_shape.join("x"), one.parameters, one.trainable, one.macs, one.activation_bytes, ...one.receptive_field_hw, ...one.jump_hw, ...one.start_hw]),
    }),
    code: () => `from striate.model.issues import examine\nfrom striate.model.zoo import blueprint\n\nwalk, issues = examine(blueprint("${walk.name}"), size_hw=(${walk.size_hw.join(", ")}))\nfor layer in walk.layers:\n    print(layer)`,
    leave: () => clearTimeout(wait),
  };
}

/**
 * What a row does, in one sentence or two.
 * @param {Layer} layer
 * @param {Walk} walk
 */
function sentence(layer, walk) {
  const [count, ...sides] = layer.out_shape;
  const makes = sides.length === 2 ? `${count} map${count > 1 ? "s" : ""} of ${sides.join(" × ")}` : `${layer.out_shape.join(" × ")} numbers`;
  const [high, wide] = layer.receptive_field_hw;
  const is = high >= walk.size_hw[0] && wide >= walk.size_hw[1] ? ", more than the image has" : "";
  const sees = layer.is_global ? "Each sees the whole image." : `One number sees ${high} × ${wide} pixels${is}; the next one sees them ${pair(layer.jump_hw)} pixels further on.`;
  return `${layer.block} gives ${makes}. ${sees}`;
}

/** @param {Layer} layer */
const shape = (layer) => layer.out_shape.join(" × ");

/** @param {string} text */
const plain = (text) => text.toLowerCase().replaceAll("×", "x").replaceAll(/\s/g, "");

/** @param {number[]} values */
const pair = ([a, b]) => (a === b ? num(a, 4) : `${num(a, 4)} × ${num(b, 4)}`);

/** @param {number} value */
const whole = (value) => value.toLocaleString("en");

/**
 * @param {number} part
 * @param {number} all
 */
const share = (part, all) => `${all ? ((100 * part) / all).toFixed(1) : "0.0"} %`;

/** @param {number} value */
function short(value) {
  const step = Math.min(4, Math.floor(Math.log10(Math.max(1, value)) / 3));
  return step ? `${(value / 1000 ** step).toPrecision(3)} ${"kMGT"[step - 1]}` : `${value}`;
}

/** @param {number} value */
const bytes = (value) => (value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(1)} MB` : value >= 1024 ? `${(value / 1024).toFixed(1)} kB` : `${value} B`);

/**
 * @param {HTMLElement} cell
 * @param {number} part
 */
function bar(cell, part) {
  cell.classList.add("arch-bar");
  cell.style.setProperty("--share", `${(100 * (part || 0)).toFixed(1)}%`);
}
