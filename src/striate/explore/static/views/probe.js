// V2: where one number comes from: its receptive field on the image, its patch on the layer before, the sum behind it.

import { paint, paintImage } from "../colour.js";
import { fill, h, svg } from "../dom.js";
import { json, packed } from "../net.js";
import { codeFor, nameOf, operationOf, sizeOf, titleOf } from "../words.js";
import { limits, scaleOf } from "./flow.js";
import { account, products } from "./terms.js";

const MAX_MAPS = 32;

/** @typedef {{ y: number, x: number }} Place */

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const query = { model: context.model.id, image: context.image.id };
  const [pass, seen] = await Promise.all([json("/api/pass", query, context.signal), packed("/api/seen", query, context.signal)]);
  const probe = new Probe(context, pass, query);
  probe.build(main, seen.arrays.levels);
  return probe;
};

class Probe {
  /**
   * @param {import("../types.js").Context} context
   * @param {any} pass
   * @param {Record<string, string>} query
   */
  constructor(context, pass, query) {
    this.context = context;
    this.pass = pass;
    this.query = query;
    this.image = panel("On the image");
    this.before = panel("What goes in");
    this.after = panel("What comes out");
    this.sum = h("section.sum", {});
    this.controls = h("div.controls", {});
    /** @type {any} */
    this.answer = null;
    this.map = "";
    this.source = "";
    /** @type {Map<string, Promise<any>>} the latest maps, by operation and channel */
    this.maps = new Map();
    /** @type {Place | null} */
    this.hovered = null;
    this.isAsking = false;
  }

  /**
   * @param {HTMLElement} main
   * @param {any} levels
   */
  build(main, levels) {
    paintImage(this.image.canvas, levels, levels.shape);
    this.image.size(levels.shape[1], levels.shape[2]);
    const target = this.after.stage;
    target.tabIndex = 0;
    target.setAttribute("role", "application");
    target.setAttribute("aria-label", "Map: arrows move the cell");
    target.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(this.after.cellAt(event)));
    target.addEventListener("pointerleave", () => this.hover(null));
    target.addEventListener("click", (/** @type {PointerEvent} */ event) => {
      const cell = this.after.cellAt(event);
      if (cell) this.context.set({ y: cell.y, x: cell.x }, true);
    });
    this.before.stage.addEventListener("click", (/** @type {PointerEvent} */ event) => this.follow(this.before.cellAt(event)));
    main.append(this.controls, h("div.panels", {}, this.image.element, this.before.element, this.after.element), this.sum);
  }

  /** The operation, channel and cell that the state names, within what there is. */
  get place() {
    const state = this.context.state();
    const last = this.pass.operations.length - 1;
    const op = clamp(state.op, 0, last, 0);
    const [count, height, width] = operationOf(this.pass, op).shape;
    return { op, channel: clamp(state.channel, 0, count - 1, 0), y: clamp(state.y, 0, height - 1, Math.floor(height / 2)), x: clamp(state.x, 0, width - 1, Math.floor(width / 2)) };
  }

  async update() {
    this.hovered = null;
    this.drawControls();
    await this.drawMap();
    await this.ask();
  }

  drawControls() {
    const { op, channel } = this.place;
    const operation = operationOf(this.pass, op);
    const go = (/** @type {number} */ to) => this.context.set({ op: to, channel: null, y: null, x: null });
    const names = h("select", { "aria-label": "Operation", onchange: (/** @type {any} */ event) => go(Number(event.target.value)) },
      this.pass.operations.map((/** @type {any} */ one) => h("option", { value: one.index, selected: one.index === op }, `${one.index}  ${titleOf(one)}  ${one.module}  ${sizeOf(one.shape)}`)));
    const number = h("input", { type: "number", min: 0, max: operation.shape[0] - 1, value: channel, "aria-label": "Channel", onchange: (/** @type {any} */ event) => this.context.set({ channel: event.target.value }) });
    const step = (/** @type {string} */ text, /** @type {string} */ label, /** @type {number} */ by) => h("button", { "aria-label": label, disabled: op + by < 0 || op + by >= this.pass.operations.length, onclick: () => go(op + by) }, text);
    fill(this.controls, h("span.row", {}, step("‹", "Operation before", -1), names, step("›", "Operation after", 1)), h("label.field", {}, "Channel", number, h("span.note", {}, `of ${operation.shape[0]}`)));
  }

  async drawMap() {
    const { op, channel } = this.place;
    const key = `${op} ${channel}`;
    if (key === this.map) return;
    const values = await this.mapOf(op, channel);
    const [, height, width] = operationOf(this.pass, op).shape;
    paint(this.after.canvas, values, height, width, scaleOf(...limits(values)));
    this.after.size(height, width);
    this.after.title(nameOf(this.pass, op), `channel ${channel}, ${height} × ${width}`);
    this.map = key;
  }

  /**
   * The numbers of a map; the latest are kept, so that pointing here and there asks for each only once.
   * @param {number} op
   * @param {number} channel
   * @returns {Promise<Float32Array>}
   */
  async mapOf(op, channel) {
    const key = `${op}.${channel}`;
    const found = this.maps.get(key) || packed("/api/channel", { ...this.query, op, channel }, this.context.signal);
    this.maps.delete(key);
    this.maps.set(key, found);
    if (this.maps.size > MAX_MAPS) this.maps.delete(this.maps.keys().next().value ?? "");
    try {
      return (await found).arrays.values;
    } catch (problem) {
      this.maps.delete(key);
      throw problem;
    }
  }

  /** @param {Place | null} cell */
  hover(cell) {
    if (cell && this.hovered && cell.y === this.hovered.y && cell.x === this.hovered.x) return;
    this.hovered = cell;
    this.started = performance.now();
    if (!this.isAsking) void this.context.busy(this.ask());
  }

  /** Ask for the cell that is pointed at; while one is on its way, only the latest waits. */
  async ask() {
    if (this.isAsking) return;
    this.isAsking = true;
    try {
      for (;;) {
        const cell = { ...this.place, ...this.hovered };
        const { head, arrays } = await packed("/api/probe", { ...this.query, op: cell.op, channel: cell.channel, y: cell.y, x: cell.x }, this.context.signal);
        this.answer = { head, arrays, cell };
        await this.draw();
        const now = { ...this.place, ...this.hovered };
        if (now.op !== cell.op || now.channel !== cell.channel) await this.drawMap();
        else if (now.y === cell.y && now.x === cell.x) return;
      }
    } finally {
      this.isAsking = false;
    }
  }

  async draw() {
    const { head, arrays, cell } = this.answer;
    this.after.mark([{ y: cell.y, x: cell.x, h: 1, w: 1 }]);
    this.drawBox(head.box);
    await this.drawSource(head, arrays);
    const operation = operationOf(this.pass, cell.op);
    fill(this.sum, products(this.pass, operation, head, arrays));
    fill(this.context.inspector, account(this.pass, operation, head, arrays, (/** @type {Record<string, any>} */ to) => this.context.set(to)));
    if (this.started) performance.measure("hover to painted", { start: this.started, end: performance.now() });
  }

  /** @param {number[] | null} box */
  drawBox(box) {
    const [, height, width] = this.pass.image.shape;
    this.image.title("On the image", box ? `rows ${box[0]} to ${box[2]}, columns ${box[1]} to ${box[3]}: ${box[2] - box[0] + 1} × ${box[3] - box[1] + 1} of ${height} × ${width}` : "no pixel of the image");
    this.image.element.dataset.box = box ? box.join(" ") : "";
    this.image.mark(box ? [{ y: box[0], x: box[1], h: box[2] - box[0] + 1, w: box[3] - box[1] + 1 }] : [], true);
  }

  /**
   * The map of the first input, at the channel whose part of the sum is the largest, with the cells that were read.
   * @param {any} head
   * @param {any} arrays
   */
  async drawSource(head, arrays) {
    const term = head.terms[0];
    if (!term) {
      this.before.title("What goes in", "not taken apart");
      this.before.mark([]);
      return;
    }
    const cells = arrays["0.cells"];
    const channel = strongest(head, arrays);
    const key = `${term.parent} ${channel}`;
    const [count, height, width] = operationOf(this.pass, term.parent).shape;
    if (key !== this.source) {
      const values = await this.mapOf(term.parent, channel);
      paint(this.before.canvas, values, height, width, scaleOf(...limits(values)));
      this.before.size(height, width);
      this.source = key;
    }
    this.before.title(term.parent < 0 ? "The image, normalised" : nameOf(this.pass, term.parent), `channel ${channel} of ${count}, ${height} × ${width}`);
    const read = [];
    for (let i = 0; i < cells.length; i += 3) if (cells[i] === channel && read.length < 400) read.push({ y: cells[i + 1], x: cells[i + 2], h: 1, w: 1 });
    this.before.mark(read);
  }

  /**
   * Go on to the operation before, at a cell of its map.
   * @param {Place | null} cell
   */
  follow(cell) {
    const [parent, channel] = this.source.split(" ").map(Number);
    if (cell && this.source && parent >= 0) this.context.set({ op: parent, channel, ...cell });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { op, channel, y, x } = this.place;
    const [count, height, width] = operationOf(this.pass, op).shape;
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    this.started = performance.now();
    if (move) this.context.set({ y: clamp(y + move[0], 0, height - 1, 0), x: clamp(x + move[1], 0, width - 1, 0) }, true);
    else if (event.key === "," || event.key === ".") this.context.set({ channel: clamp(channel + (event.key === "," ? -1 : 1), 0, count - 1, 0) }, true);
    else if (event.key === "[" || event.key === "]") this.context.set({ op: clamp(op + (event.key === "[" ? -1 : 1), 0, this.pass.operations.length - 1, 0), channel: null, y: null, x: null }, true);
    else return false;
    return true;
  }

  numbers() {
    const { head, arrays } = this.answer;
    /** @type {(string | number | null)[][]} */
    const rows = [];
    head.terms.forEach((/** @type {any} */ term, /** @type {number} */ place) => {
      const [values, weights, read, cells] = ["values", "weights", "read", "cells"].map((name) => arrays[`${place}.${name}`]);
      for (let i = 0; i < values.length; i++) {
        rows.push([nameOf(this.pass, term.parent), ...(read[i] ? cells.subarray(3 * i, 3 * i + 3) : ["padding", null, null]), values[i], weights ? weights[i] : null, weights ? values[i] * weights[i] : values[i]]);
      }
    });
    for (const [name, value] of Object.entries({ ...head.added, ...head.numbers })) rows.push([name, null, null, null, /** @type {number} */ (value), null, null]);
    rows.push(["total", null, null, null, head.total, null, null], ["stored", null, null, null, head.stored, null, null]);
    return { columns: ["from", "channel", "row", "column", "value", "weight", "product"], rows };
  }

  code() {
    const { op, channel, y, x } = this.place;
    const code = codeFor(this.context.model, this.context.image.title, operationOf(this.pass, op), `print(found.maps(${op})[${channel}, ${y}, ${x}])`);
    return code + `\nfrom striate.inside.probe import probe\n\nprint(probe(found, ${op}, (${channel}, ${y}, ${x})))\n`;
  }

  drawing() {
    return this.after.canvas;
  }
}

/**
 * A map with marks over it.
 * @param {string} name
 */
export function panel(name) {
  const title = h("h3", {}, name);
  const about = h("p.note", {}, " ");
  const canvas = h("canvas.map", {});
  const marks = svg("svg.marks", { preserveAspectRatio: "none", "aria-hidden": "true" });
  const stage = h("div.stage", {}, canvas, marks);
  const element = h("figure.panel", {}, h("figcaption", {}, title, about), stage);
  let [height, width] = [1, 1];
  return {
    element, canvas, stage,
    /**
     * @param {string} text
     * @param {string} small
     */
    title(text, small) {
      title.textContent = text;
      about.textContent = small;
    },
    /**
     * @param {number} high
     * @param {number} wide
     */
    size(high, wide) {
      [height, width] = [high, wide];
      marks.setAttribute("viewBox", `0 0 ${wide} ${high}`);
      stage.style.aspectRatio = `${wide} / ${Math.max(high, wide / 12)}`;
      stage.style.maxWidth = high > wide ? `${Math.round((100 * wide) / high)}%` : "";
    },
    /**
     * @param {{ y: number, x: number, h: number, w: number }[]} boxes
     * @param {boolean} [isShading] the rest of the map
     */
    mark(boxes, isShading = false) {
      const shade = isShading && boxes.length ? svg("path.shade", { d: `M0 0H${width}V${height}H0Z` + boxes.map((b) => `M${b.x} ${b.y}v${b.h}h${b.w}v${-b.h}Z`).join(""), "fill-rule": "evenodd" }) : null;
      const rims = boxes.flatMap((b) => ["rect.rim-dark", "rect.rim"].map((kind) => svg(kind, { x: b.x, y: b.y, width: b.w, height: b.h, "vector-effect": "non-scaling-stroke" })));
      fill(marks, shade, rims);
    },
    /** @param {PointerEvent} event */
    cellAt(event) {
      const box = canvas.getBoundingClientRect();
      const [y, x] = [Math.floor(((event.clientY - box.top) / box.height) * height), Math.floor(((event.clientX - box.left) / box.width) * width)];
      return y >= 0 && x >= 0 && y < height && x < width ? { y, x } : null;
    },
  };
}

/**
 * The channel of the first input whose products change the sum most.
 * @param {any} head
 * @param {any} arrays
 */
function strongest(head, arrays) {
  const [values, weights, cells] = ["values", "weights", "cells"].map((name) => arrays[`0.${name}`]);
  if (head.terms[0].winner !== null) return Math.max(0, cells[3 * head.terms[0].winner]);
  /** @type {Map<number, number>} */
  const sums = new Map();
  for (let i = 0; i < values.length; i++) {
    const channel = cells[3 * i];
    if (channel >= 0) sums.set(channel, (sums.get(channel) || 0) + values[i] * (weights ? weights[i] : 1));
  }
  let [best, size] = [0, -1];
  for (const [channel, value] of sums) if (Math.abs(value) > size) [best, size] = [channel, Math.abs(value)];
  return best;
}

/**
 * @param {string | number | undefined} value
 * @param {number} low
 * @param {number} high
 * @param {number} otherwise
 */
export function clamp(value, low, high, otherwise) {
  const whole = value === undefined || value === "" ? otherwise : Math.round(Number(value));
  return Number.isFinite(whole) ? Math.min(high, Math.max(low, whole)) : otherwise;
}

