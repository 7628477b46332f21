// V9: the runs beside each other: a table that sorts, curves that are drawn over each other, where the recipes differ.

import { fill, h, num, svg, table } from "../dom.js";
import { json, post } from "../net.js";
import { clamp } from "./probe.js";

const COLOURS = ["#0b7a84", "#b2182b", "#7a5195", "#bc6c00", "#2f6fb0", "#4d7c2b", "#a3416d", "#6b6b6b"];
const WIDE = 720;
const HIGH = 300;
const EDGE = { left: 54, right: 12, top: 12, bottom: 28 };
const SEARCHED = ["title", "network", "recipe", "status", "note"];
const COLUMNS = [["title", "run"], ["network", "network"], ["recipe", "recipe"], ["seed", ">seed"], ["score", ">score"], ["val", ">validation"], ["parameters", ">parameters"], ["best_epoch", ">best epoch"], ["time_s", ">time (s)"], ["images_per_s", ">images/s"]];

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const { runs } = await json("/api/runs", {}, context.signal);
  if (!runs.length) {
    main.append(h("p.empty", {}, "No runs here: this is a fresh network. Start striate explore with a run or a study."));
    return {};
  }
  const view = new Runs(context, runs);
  main.append(view.controls, view.chart, view.sheet, view.differences);
  return view;
};

/**
 * The exponential moving average, started at the first value, as TensorBoard draws it.
 * @param {number[]} values
 * @param {number} weight of what was before, 0 to 1
 */
export function smooth(values, weight) {
  let [last, count] = [0, 0];
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    last = last * weight + (1 - weight) * value;
    count += 1;
    return weight ? last / (1 - weight ** count) : value;
  });
}

class Runs {
  /**
   * @param {import("../types.js").Context} context
   * @param {any[]} runs
   */
  constructor(context, runs) {
    this.context = context;
    this.runs = runs;
    this.controls = h("div.controls", {});
    this.chart = h("section.chart", {});
    this.sheet = h("section.runs", {});
    this.differences = h("section.differences", {});
    /** @type {any} */
    this.compared = null;
    this.shown = "";
    this.place = h("p.notice-line", { role: "status" });
    /** @type {{ x: (epoch: number) => number, last: number, lines: any[] } | null} */
    this.axis = null;
  }

  /** The runs in whose texts all words of the search stand. */
  get sought() {
    const words = (this.context.state().find || "").toLowerCase().split(/\s+/).filter(Boolean);
    return this.runs.filter((one) => words.every((word) => SEARCHED.some((key) => String(one[key] ?? "").toLowerCase().includes(word))));
  }

  /** The epoch whose values stand beside the curves; 0 for none. */
  get epoch() {
    return clamp(this.context.state().epoch, 0, this.axis?.last || 0, 0);
  }

  get chosen() {
    const ids = (this.context.state().runs ?? this.runs.slice(0, 5).map((one) => one.id).join(",")).split(",");
    return this.runs.filter((one) => ids.includes(one.id)).map((one) => one.id).slice(0, 20);
  }

  get metric() {
    return this.context.state().metric || "loss";
  }

  get weight() {
    return Math.min(0.99, Math.max(0, Number(this.context.state().smooth) || 0));
  }

  async update() {
    const ids = this.chosen.join(",");
    const shown = JSON.stringify({ ...this.context.state(), epoch: "" });
    if (shown === this.shown) return this.drawEpoch(); // only the pointer moved
    this.shown = shown;
    if (this.runs.length === 0) return this.context.set({ view: "start" });
    if (this.compared?.ids !== ids) this.compared = { ids, ...(await json("/api/runs/curves", { ids }, this.context.signal)) };
    this.drawControls();
    this.drawChart();
    this.drawEpoch();
    this.drawTable();
    const { differences, runs } = this.compared;
    fill(this.differences, differences.length ? [h("h2", {}, "Where they differ"), table(["setting", ...runs.map((/** @type {any} */ one) => one.title)], differences.map((/** @type {any} */ one) => [one.setting, ...one.values]))] : null);
  }

  drawControls() {
    const { context } = this;
    const keys = new Set(["loss"]);
    for (const run of this.compared.runs) for (const row of run.history) for (const key of Object.keys(row.val || row.train || {})) keys.add(key);
    const pick = h("select", { "aria-label": "Score", onchange: (/** @type {any} */ e) => context.set({ metric: e.target.value }) }, [...keys].map((key) => h("option", { value: key, selected: key === this.metric }, key)));
    const slider = h("input", { type: "range", min: 0, max: 0.95, step: 0.05, value: this.weight, "aria-label": "Smoothing", oninput: (/** @type {any} */ e) => context.set({ smooth: e.target.value === "0" ? null : e.target.value }, true) });
    const isLog = context.state().log === "1";
    if (this.controls.childElementCount && document.activeElement?.getAttribute("aria-label") === "Smoothing") return;
    fill(this.controls, h("label.field", {}, "Score", pick), h("label.field.smoothing", {}, "Smoothing", slider), h("label.field", {}, h("input", { type: "checkbox", checked: isLog, onchange: () => context.set({ log: isLog ? null : 1 }) }), "log axis"), h("span.note", {}, "solid: validation; dashed: training; ring: the epoch that was kept"));
  }

  drawChart() {
    const isLog = this.context.state().log === "1";
    const lines = this.compared.runs.flatMap((/** @type {any} */ run) => ["val", "train"].map((split) => {
      const values = run.history.map((/** @type {any} */ row) => row[split]?.[this.metric] ?? NaN);
      return { run, split, epochs: run.history.map((/** @type {any} */ row) => row.epoch), values: smooth(values, this.weight), best: run.history.findLastIndex((/** @type {any} */ row) => row.is_best) };
    }));
    const shown = lines.flatMap((/** @type {any} */ line) => line.values).filter((/** @type {number} */ value) => Number.isFinite(value) && (!isLog || value > 0));
    this.axis = null;
    if (!shown.length) return fill(this.chart, h("p.empty", {}, this.chosen.length ? "No values of this score." : "Tick a run below."));
    const on = (/** @type {number} */ value) => (isLog ? Math.log10(value) : value);
    const [low, high] = [Math.min(...shown.map(on)), Math.max(...shown.map(on))];
    const last = Math.max(2, ...lines.flatMap((/** @type {any} */ line) => line.epochs));
    const x = (/** @type {number} */ epoch) => EDGE.left + ((WIDE - EDGE.left - EDGE.right) * (epoch - 1)) / (last - 1);
    const y = (/** @type {number} */ value) => HIGH - EDGE.bottom - ((HIGH - EDGE.top - EDGE.bottom) * (on(value) - low)) / (high - low || 1);
    const marks = [];
    for (const { run, split, epochs, values, best } of lines) {
      const colour = this.colourOf(run.id);
      const path = values.reduce((/** @type {string} */ text, /** @type {number} */ value, /** @type {number} */ i) => {
        if (!Number.isFinite(value) || (isLog && value <= 0)) return text;
        const isGap = i === 0 || !Number.isFinite(values[i - 1]);
        return `${text}${isGap ? "M" : "L"}${x(epochs[i]).toFixed(1)} ${y(value).toFixed(1)}`;
      }, "");
      marks.push(svg("path", { d: path, fill: "none", stroke: colour, "stroke-width": split === "val" ? 2 : 1.2, "stroke-dasharray": split === "val" ? null : "4 3", opacity: split === "val" ? 1 : 0.75, "data-run": run.id, "data-split": split }));
      if (split === "val" && best >= 0 && Number.isFinite(values[best])) marks.push(svg("circle", { cx: x(epochs[best]), cy: y(values[best]), r: 4.5, fill: "none", stroke: colour, "stroke-width": 2 }));
    }
    const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => {
      const value = low + share * (high - low);
      const place = HIGH - EDGE.bottom - (HIGH - EDGE.top - EDGE.bottom) * share;
      return [svg("line.grid-line", { x1: EDGE.left, x2: WIDE - EDGE.right, y1: place, y2: place }), svg("text", { x: EDGE.left - 8, y: place + 4, "text-anchor": "end" }, num(isLog ? 10 ** value : value, 3))];
    });
    this.plot = svg("svg.plot", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `${this.metric} over the epochs` }, ticks, svg("text", { x: EDGE.left, y: HIGH - 8 }, "epoch 1"), svg("text", { x: WIDE - EDGE.right, y: HIGH - 8, "text-anchor": "end" }, last), marks);
    this.rule = svg("line.rule", { y1: EDGE.top, y2: HIGH - EDGE.bottom, visibility: "hidden" });
    this.dots = svg("g", {});
    this.plot.append(this.rule, this.dots);
    this.axis = { x, last, lines: lines.map((/** @type {any} */ one) => ({ ...one, y: (/** @type {number} */ value) => y(value) })) };
    this.plot.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.hover(event));
    this.plot.addEventListener("pointerleave", () => this.context.set({ epoch: null }, true));
    fill(this.chart, this.plot);
  }

  /** @param {PointerEvent} event */
  hover(event) {
    const box = /** @type {SVGElement} */ (this.plot).getBoundingClientRect();
    const { last } = /** @type {any} */ (this.axis);
    const at = (((event.clientX - box.left) / box.width) * WIDE - EDGE.left) / (WIDE - EDGE.left - EDGE.right);
    this.context.set({ epoch: clamp(1 + at * (last - 1), 1, last, 1) }, true);
  }

  /** All runs' values at the epoch that is pointed at: a line over the curves, and a table beside them. */
  drawEpoch() {
    const { epoch, axis } = this;
    if (!axis || !epoch) {
      this.rule?.setAttribute("visibility", "hidden");
      if (this.dots) fill(this.dots);
      return fill(this.context.inspector, h("p.note", {}, "Point at the curves, or press ← and →: the values of all runs at an epoch stand here."));
    }
    for (const name of ["x1", "x2"]) this.rule.setAttribute(name, axis.x(epoch));
    this.rule.setAttribute("visibility", "visible");
    const at = (/** @type {any} */ line) => line.values[line.epochs.indexOf(epoch)];
    fill(this.dots, axis.lines.filter((line) => Number.isFinite(at(line))).map((line) => svg("circle", { cx: axis.x(epoch), cy: line.y(at(line)), r: 3, fill: this.colourOf(line.run.id) })));
    const rows = this.compared.runs.map((/** @type {any} */ run) => {
      const [val, train] = ["val", "train"].map((split) => at(axis.lines.find((line) => line.run === run && line.split === split)));
      return { run, val, train };
    }).sort((/** @type {any} */ a, /** @type {any} */ b) => (b.val ?? -Infinity) - (a.val ?? -Infinity));
    const cells = rows.map((/** @type {any} */ { run, val, train }) => [this.named(run), num(val, 4), num(train, 4)]);
    fill(this.context.inspector, h("h2", {}, `Epoch ${epoch}`), h("p.note", {}, `${this.metric}${this.weight ? ", smoothed" : ""}`), table(["run", ">val", ">train"], cells));
  }

  /** @param {any} run */
  named(run) {
    const dot = h("span.dot", {});
    dot.style.background = this.colourOf(run.id);
    return h("span.row.tick", { "data-at": run.id }, dot, run.title);
  }

  /** @param {string} id */
  colourOf(id) {
    return COLOURS[this.chosen.indexOf(id) % COLOURS.length];
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || !this.axis) return false;
    this.context.set({ epoch: clamp(this.epoch + by, 1, this.axis.last, 1) }, true);
    return true;
  }

  drawTable() {
    const { context } = this;
    const { sort = "score", down = "1" } = context.state();
    const sign = down === "1" ? -1 : 1;
    const rank = (/** @type {any} */ one) => one[sort] ?? (typeof one.title === "string" && ["title", "network", "recipe"].includes(sort) ? "" : -Infinity);
    const rows = [...this.sought].sort((a, b) => sign * (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0));
    const head = COLUMNS.map(([key, name]) => {
      const text = key === "score" && rows[0]?.metric ? `${rows[0].split || ""} ${rows[0].metric}` : name.replace(/^>/, "");
      return h(name.startsWith(">") ? "th.num" : "th", { scope: "col", "aria-sort": key === sort ? (sign < 0 ? "descending" : "ascending") : null }, h("button.quiet", { onclick: () => context.set({ sort: key, down: key === sort && down === "1" ? 0 : 1 }) }, text, key === sort ? (sign < 0 ? " ↓" : " ↑") : ""));
    });
    const body = rows.map((one) => {
      const place = this.chosen.indexOf(one.id);
      const tick = h("input", { type: "checkbox", checked: place >= 0, "aria-label": `Draw ${one.title}`, onchange: () => this.toggle(one.id) });
      const dot = h("span.dot", {});
      if (place >= 0) dot.style.background = this.colourOf(one.id);
      return h("tr", { "data-run": one.id }, h("td", {}, h("span.row.tick", {}, tick, dot)), COLUMNS.map(([key, name]) => {
        const value = one[key];
        if (key === "title") return h("td", {}, h("span.row.tick", {}, h("button.quiet.run-name", { title: "Look inside", onclick: () => context.set({ view: "flow", model: one.id }) }, value), h("button.quiet.note-button", { "aria-label": `Note on ${one.title}`, "data-note": one.id, onclick: () => this.edit(one) }, one.note ? "✎" : "+ note"), h("button.quiet.note-button", { "aria-label": `Move ${one.title} to the trash`, title: "Move to the trash", "data-trash": one.id, onclick: () => this.remove(one) }, "×")), one.note ? h("p.note.run-note", {}, one.note) : null, one.problem ? h("span.note", {}, ` ${one.problem}`) : one.status !== "finished" ? h("span.note", {}, ` ${one.status}`) : null);
        return h(name.startsWith(">") ? "td.num" : "td", {}, typeof value === "number" ? (Number.isInteger(value) ? value.toLocaleString("en") : num(value, 4)) : value ?? "n/a");
      }));
    });
    const count = rows.length < this.runs.length ? `${rows.length} of ${this.runs.length} runs` : `${rows.length} ${rows.length === 1 ? "run" : "runs"}`;
    const find = this.sheet.querySelector("input[type=search]") || h("input", { type: "search", placeholder: "Find", "aria-label": "Find runs", value: context.state().find || "", oninput: (/** @type {any} */ event) => context.set({ find: event.target.value || null }, true) });
    const top = h("div.row.detail-head", {}, h("h2", {}, count), find);
    const isTyping = document.activeElement === find;
    fill(this.sheet, top, this.place, rows.length ? null : h("p.empty", {}, "No run has these words."), h("div.scroll", {}, h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, ""), head)), h("tbody", {}, body))));
    if (isTyping) find.focus();
  }

  /** @param {any} run */
  edit(run) {
    const area = h("textarea", { rows: 5, maxlength: 2000, "aria-label": `Note on ${run.title}` });
    area.value = run.note || "";
    const keep = async () => {
      dialog.close();
      run.note = (await post(`/api/runs/${run.id}/note`, area.value)).note;
      this.drawTable();
    };
    const dialog = h("dialog", {}, h("h2", {}, `Note on ${run.title}`), area, h("div.row", {}, h("button.quiet", { onclick: () => dialog.close() }, "Cancel"), h("button.primary", { onclick: () => void this.context.busy(keep()) }, "Keep")));
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }

  /** @param {any} run */
  remove(run) {
    const { context } = this;
    const back = async () => {
      await post(`/api/runs/${run.id}/restore`, "");
      await this.again("");
    };
    const move = async () => {
      const { where } = await post(`/api/runs/${run.id}/trash`, "");
      await this.again([`${run.title} is in ${where} now. `, h("button", { "data-undo": run.id, onclick: () => void context.busy(back()) }, "Undo")]);
    };
    void context.busy(move());
  }

  /** @param {any} said what stands above the table, once the lists were read again */
  async again(said) {
    await this.context.relist();
    this.runs = (await json("/api/runs", {}, this.context.signal)).runs;
    this.shown = "";
    fill(this.place, said);
    await this.update();
  }

  /** @param {string} id */
  toggle(id) {
    const now = this.chosen;
    this.context.set({ runs: (now.includes(id) ? now.filter((one) => one !== id) : [...now, id]).join(",") }, true);
  }

  numbers() {
    return { columns: COLUMNS.map(([key]) => key), rows: this.runs.map((one) => COLUMNS.map(([key]) => one[key] ?? null)) };
  }

  drawing() {
    return this.plot || null;
  }
}
