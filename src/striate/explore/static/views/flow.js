// V1: from the image to the answer, a column for each operation in the order in which they run.

import { paint, paintImage } from "../colour.js";
import { fill, h, num, table } from "../dom.js";
import { json, packed } from "../net.js";
import { strip } from "../overlay.js";
import { codeFor, kindOf, nameOf, operationOf, sizeOf, titleOf } from "../words.js";

const IN_COLUMN = 5;
const PAGE = 64;
const SORTS = { index: "channel", mean: "mean", max: "maximum", variance: "variance" };

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const query = { model: context.model.id, image: context.image.id };
  const pass = await json("/api/pass", query, context.signal);
  const flow = new Flow(context, pass, query);
  await flow.build(main);
  return flow;
};

class Flow {
  /**
   * @param {import("../types.js").Context} context
   * @param {any} pass
   * @param {Record<string, string>} query
   */
  constructor(context, pass, query) {
    this.context = context;
    this.pass = pass;
    this.query = query;
    this.track = h("div.track", { role: "list", "aria-label": "Operations" });
    this.detail = h("section.detail", {});
    /** @type {any} */
    this.shown = null;
    this.controls = h("div.controls", {});
    /** @type {Map<number, HTMLElement>} */
    this.columns = new Map();
  }

  /** @param {HTMLElement} main */
  async build(main) {
    const { context, pass } = this;
    this.columns.set(-1, this.column(operationOf(pass, -1)));
    for (const operation of pass.operations) this.columns.set(operation.index, this.column(operation));
    this.track.append(...this.columns.values());
    main.append(this.controls, this.track, this.detail);
    this.drawControls();
    const watch = new IntersectionObserver(
      (seen) => {
        for (const { isIntersecting, target } of seen) {
          if (!isIntersecting) continue;
          watch.unobserve(target);
          void context.busy(this.load(Number(/** @type {HTMLElement} */ (target).dataset.op)));
        }
      },
      { root: null, rootMargin: "0px 400px" },
    );
    this.watch = watch;
    for (const column of this.columns.values()) watch.observe(column);
  }

  get settings() {
    const state = this.context.state();
    return { sort: state.sort in SORTS ? state.sort : "index", scale: state.scale === "layer" ? "layer" : "map" };
  }

  get chosen() {
    const { op } = this.context.state();
    const index = op === undefined ? this.first : Number(op);
    return Number.isInteger(index) && index >= -1 && index < this.pass.operations.length ? index : this.first;
  }

  /** The last operation of the row that the address names, else the first of all. */
  get first() {
    const { row } = this.context.state();
    const own = this.pass.operations.filter((/** @type {any} */ one) => row && `${one.module}.`.startsWith(`${row}.`));
    return own.length ? own[own.length - 1].index : this.pass.operations.length ? 0 : -1;
  }

  get channel() {
    return Math.min(Math.max(0, Number(this.context.state().channel) || 0), operationOf(this.pass, this.chosen).shape[0] - 1);
  }

  drawControls() {
    const { sort, scale } = this.settings;
    const order = h("select", { "aria-label": "Order of channels", onchange: (/** @type {any} */ e) => this.context.set({ sort: e.target.value }) },
      Object.entries(SORTS).map(([key, text]) => h("option", { value: key, selected: key === sort }, text)));
    const scales = Object.entries({ map: "each map", layer: "the operation" }).map(([key, text]) =>
      h("button", { "aria-pressed": String(key === scale), onclick: () => this.context.set({ scale: key }) }, text));
    fill(this.controls, h("label.field", {}, "Order by", order), h("span.field.row", {}, h("span.note", {}, "Colours over"), h("span.segments", {}, scales)), legend());
  }

  /** @param {any} operation */
  column(operation) {
    const isImage = operation.index < 0;
    const head = h(
      "button.column-head",
      { onclick: () => this.context.set({ op: operation.index, channel: null }), title: nameOf(this.pass, operation.index) },
      h("strong", {}, isImage ? "image" : titleOf(operation)),
      h("span", {}, isImage ? "as the network sees it" : operation.module || "in the network"),
      h("span.mono", {}, sizeOf(operation.shape)),
    );
    const isMap = operation.shape[1] * operation.shape[2] > 1;
    return h("div.column", { role: "listitem", "data-op": operation.index }, head, h(isMap ? "div.column-maps" : "div.column-bars", {}));
  }

  /** @param {number} index */
  async load(index) {
    const { context, query } = this;
    const column = /** @type {HTMLElement} */ (this.columns.get(index));
    const place = /** @type {HTMLElement} */ (column.lastElementChild);
    const { sort, scale } = this.settings;
    const [, height, width] = operationOf(this.pass, index).shape;
    if (height * width === 1) {
      const { head, arrays } = await packed("/api/maps", { ...query, op: index, sort: sort === "index" ? "max" : sort, count: 12 }, context.signal);
      fill(place, bars(this, index, head, arrays));
      return;
    }
    const { head, arrays } = await packed("/api/maps", { ...query, op: index, sort, scale, count: IN_COLUMN, side: 64 }, context.signal);
    fill(place, index < 0 ? await this.colours() : null, thumbnails(this, index, head, arrays, 72), head.total > IN_COLUMN ? h("button.quiet.more", { onclick: () => context.set({ op: index, channel: null }) }, `${head.total - IN_COLUMN} more`) : null);
  }

  /** What the network sees of the image, in its colours. */
  async colours() {
    const { arrays } = await packed("/api/seen", this.query, this.context.signal);
    const canvas = h("canvas.map.colours", { role: "img", "aria-label": "What the network sees" });
    paintImage(canvas, arrays.levels, arrays.levels.shape);
    return canvas;
  }

  /**
   * @param {import("../types.js").State} state
   * @param {import("../types.js").State} before
   */
  async update(state, before) {
    const isAnew = state.sort !== before.sort || state.scale !== before.scale;
    if (isAnew) {
      this.drawControls();
      for (const column of this.columns.values()) if (column.lastElementChild?.childElementCount) this.watch?.observe(column);
    }
    for (const [index, column] of this.columns) column.classList.toggle("chosen", index === this.chosen);
    if (state === before) this.columns.get(this.chosen)?.scrollIntoView({ block: "nearest", inline: "center" });
    const key = [this.chosen, this.settings.sort, this.settings.scale, state.page].join(" ");
    if (key !== this.shown) {
      this.shown = key;
      await this.drawDetail();
    }
    this.drawInspector();
    await this.drawFocus();
  }

  async drawDetail() {
    const { context, query } = this;
    const index = this.chosen;
    const operation = operationOf(this.pass, index);
    const [count, height, width] = operation.shape;
    const page = Math.min(Number(context.state().page) || 0, Math.ceil(count / PAGE) - 1);
    const { sort, scale } = this.settings;
    const isMap = height * width > 1;
    const { head, arrays } = await packed("/api/maps", { ...query, op: index, sort: !isMap && sort === "index" ? "max" : sort, scale, first: page * PAGE, count: PAGE, side: 96 }, context.signal);
    const step = head.step > 1 ? ` Every ${head.step}${head.step === 2 ? "nd" : head.step === 3 ? "rd" : "th"} cell is shown here; a map opened is whole.` : "";
    const pages = count > PAGE ? pager(page, Math.ceil(count / PAGE), (to) => context.set({ page: to || null })) : null;
    fill(this.detail,
      h("div.row.detail-head", {}, h("h2", {}, index < 0 ? "Image" : nameOf(this.pass, index)), h("span.note", {}, `${count} ${isMap ? (count === 1 ? "map" : "maps") : "numbers"}.${step}`), pages),
      isMap ? h("div.grid", {}, thumbnails(this, index, head, arrays, 84)) : bars(this, index, head, arrays));
    this.arrays = arrays;
    this.table = toTable(head, arrays);
  }

  async drawFocus() {
    const [index, channel] = [this.chosen, this.channel];
    for (const one of this.detail.querySelectorAll("[data-channel]")) one.classList.toggle("chosen", Number(/** @type {HTMLElement} */ (one).dataset.channel) === channel);
    const [, height, width] = operationOf(this.pass, index).shape;
    if (height * width === 1 || !this.focus) return;
    const { arrays } = await packed("/api/channel", { ...this.query, op: index, channel }, this.context.signal);
    const [low, high] = limits(arrays.values);
    paint(this.focus, arrays.values, height, width, { ...scaleOf(low, high) });
    this.range.textContent = `${num(low)} to ${num(high)}`;
  }

  drawInspector() {
    const { context, pass } = this;
    const operation = operationOf(pass, this.chosen);
    const [, height, width] = operation.shape;
    const isMap = height * width > 1;
    this.focus = isMap ? h("canvas.map.focus", { "aria-label": `channel ${this.channel}` }) : null;
    this.range = h("span.mono", {}, "");
    const cell = { y: Math.floor(height / 2), x: Math.floor(width / 2) };
    fill(context.inspector,
      h("h2", {}, operation.index < 0 ? "Image" : titleOf(operation)),
      h("p.note", {}, sentence(pass, operation)),
      h("dl.facts", {}, facts(operation).map(([name, value]) => [h("dt", {}, name), h("dd.mono", { "data-fact": name }, value)])),
      Object.keys(operation.weights).length ? [h("h3", {}, "Weights"), table(["name", "shape"], Object.values(operation.weights).map((/** @type {any} */ one) => [one.name || "made by the network", one.shape.join(" × ")]))] : null,
      isMap ? [h("h3", {}, `Channel ${this.channel}`), this.focus, h("p.row", {}, this.range)] : null,
      operation.index >= 0 ? h("button.primary", { onclick: () => context.set({ view: "probe", op: operation.index, channel: this.channel, ...cell }) }, "Probe its numbers") : null);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const index = this.chosen;
    const { set } = this.context;
    if (event.key === "[" || event.key === "]") set({ op: Math.min(Math.max(-1, index + (event.key === "[" ? -1 : 1)), this.pass.operations.length - 1), channel: null, page: null }, true);
    else if (event.key === "," || event.key === ".") set({ channel: Math.max(0, this.channel + (event.key === "," ? -1 : 1)) }, true);
    else return false;
    return true;
  }

  numbers() {
    return this.table || { columns: [], rows: [] };
  }

  code() {
    return codeFor(this.context.model, this.context.image.title, operationOf(this.pass, this.chosen), "print(maps.shape, maps.min(), maps.max(), maps.mean())");
  }

  drawing() {
    return this.focus;
  }

  leave() {
    this.watch?.disconnect();
  }
}

/**
 * @param {number} low
 * @param {number} high
 */
export function scaleOf(low, high) {
  const side = Math.max(Math.abs(low), Math.abs(high));
  return low < 0 ? { ramp: "signed", low: -side, high: side } : { ramp: "viridis", low, high };
}

/** @param {ArrayLike<number>} values @returns {[number, number]} */
export function limits(values) {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return low > high ? [0, 0] : [low, high];
}

/**
 * @param {Flow} flow
 * @param {number} index
 * @param {any} head
 * @param {any} arrays
 * @param {number} sidePx
 */
function thumbnails(flow, index, head, arrays, sidePx) {
  const [count, height, width] = arrays.levels.shape;
  return Array.from({ length: count }, (_, place) => {
    const channel = arrays.channels[place];
    const canvas = h("canvas.map", {});
    const size = height * width;
    const levels = arrays.levels.subarray(place * size, (place + 1) * size);
    const unknown = arrays.unknown?.subarray(place * size, (place + 1) * size);
    const [low] = arrays.bounds.subarray(2 * place, 2 * place + 2);
    paint(canvas, unknown ? Float32Array.from(levels, (/** @type {number} */ level, i) => (unknown[i] ? NaN : level)) : levels, height, width, { ramp: low < 0 ? "signed" : "viridis", low: 0, high: 255 });
    const zoom = sidePx / Math.max(height, width);
    canvas.style.width = `${Math.max(4, Math.round(width * zoom))}px`;
    canvas.style.height = `${Math.max(4, Math.round(height * zoom))}px`;
    const isDead = arrays.ranges[2 * place] === 0 && arrays.ranges[2 * place + 1] === 0;
    const text = `channel ${channel}: ${num(arrays.ranges[2 * place], 4)} to ${num(arrays.ranges[2 * place + 1], 4)}, mean ${num(arrays.means[place], 4)}${isDead ? ", 0 everywhere" : ""}`;
    return h("button.tile", { title: text, "aria-label": text, "data-channel": channel, "data-dead": isDead, onclick: () => flow.context.set({ op: index, channel }) },
      canvas, h("span.mono", {}, isDead ? `${channel} · zero` : channel));
  });
}

/**
 * @param {Flow} flow
 * @param {number} index
 * @param {any} head
 * @param {any} arrays
 */
function bars(flow, index, head, arrays) {
  const side = Math.max(...Array.from(arrays.means, Math.abs), 1e-12);
  const names = head.total === flow.pass.names.length ? flow.pass.names : null;
  const rows = Array.from(arrays.means, (/** @type {number} */ value, place) => {
    const channel = arrays.channels[place];
    const bar = h("span.bar-fill", { "data-sign": value < 0 ? "minus" : "plus" });
    bar.style.width = `${(100 * Math.abs(value)) / side}%`;
    return h("button.bar-row", { "data-channel": channel, onclick: () => flow.context.set({ op: index, channel }) }, h("span.bar-name", {}, names ? names[channel] : channel), h("span.bar-box", {}, bar), h("span.mono", {}, num(value, 4)));
  });
  return h("div.bars", {}, rows, head.total > rows.length ? h("p.note", {}, `${rows.length} of ${head.total}`) : null);
}

function legend() {
  return h("span.legend.note", {}, "smallest", strip("viridis"), "largest; with signs", "−", strip("signed"), "+");
}

/**
 * @param {number} page
 * @param {number} count
 * @param {(to: number) => void} go
 */
function pager(page, count, go) {
  return h("span.row.pager", {}, h("button", { disabled: !page, onclick: () => go(page - 1), "aria-label": "Page before" }, "‹"), h("span.mono", {}, `${page + 1} / ${count}`), h("button", { disabled: page + 1 >= count, onclick: () => go(page + 1), "aria-label": "Page after" }, "›"));
}

/** @param {any} operation */
function facts(operation) {
  const settings = Object.entries(operation.settings).filter(([name]) => !["training", "momentum", "return_indices"].includes(name)).map(([name, value]) => [name.replaceAll("_", " "), Array.isArray(value) ? value.join(" × ") : String(value)]);
  return [
    ["output", sizeOf(operation.shape)], ["minimum", num(operation.low)], ["maximum", num(operation.high)], ["mean", num(operation.mean)],
    ...(operation.num_dead ? [["channels that are 0", String(operation.num_dead)]] : []),
    ...(operation.num_bad ? [["no numbers (NaN, ∞)", String(operation.num_bad)]] : []),
    ...(operation.use ? [["use of the module", String(operation.use + 1)]] : []), ...settings,
  ];
}

/**
 * @param {any} pass
 * @param {any} operation
 */
function sentence(pass, operation) {
  if (operation.index < 0) return "What the network sees: fitted to its input and normalised.";
  const given = operation.parents.map((/** @type {number} */ one) => nameOf(pass, one));
  const from = given.length ? ` of ${given.slice(0, 3).join(" and ")}${given.length > 3 ? ` and ${given.length - 3} more` : ""}` : "";
  return `Operation ${operation.index} of ${pass.operations.length - 1}: ${kindOf(operation)}${from}.`;
}

/**
 * @param {any} head
 * @param {any} arrays
 */
function toTable(head, arrays) {
  const rows = Array.from(arrays.channels, (/** @type {number} */ channel, place) => [channel, arrays.ranges[2 * place], arrays.ranges[2 * place + 1], arrays.means[place]]);
  return { columns: ["channel", "min", "max", "mean"], rows };
}

