// V11: the dataset that a run was trained on: classes, findings, images, and what augmentation made of one in any epoch.

import { paintImage } from "../colour.js";
import { fill, h, num, svg, table } from "../dom.js";
import { json, packed, stream } from "../net.js";
import { slider } from "../subject.js";
import { clamp } from "./probe.js";

const VARIANTS = 8;
const MAX_BARS = 40;
const ORDER = ["train", "val", "test"];

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const found = await json("/api/dataset", { model: context.model.id }, context.signal);
  const view = new Dataset(context, found);
  main.append(view.problem(), view.augmented, view.images, view.classes());
  return view;
};

class Dataset {
  /**
   * @param {import("../types.js").Context} context
   * @param {any} found
   */
  constructor(context, found) {
    this.context = context;
    this.found = found;
    this.splits = ORDER.filter((name) => name in found.splits);
    this.augmented = h("section.augmented", {});
    this.controls = h("div.controls", {});
    this.grid = h("div.variants", {});
    this.images = h("section.detail", {});
    this.shown = "";
    this.drawn = "";
    this.asked = new AbortController();
    /** @type {any[]} */
    this.page = [];
  }

  problem() {
    const { problem, device } = this.found;
    if (problem) return h("div.empty.left", { role: "status" }, h("p", {}, `The images cannot be shown: ${problem.what}.`), problem.fix ? h("p.note", {}, problem.fix) : null);
    return device === "cuda" ? h("p.note", {}, "The run was trained on a GPU, which rounds otherwise: here is what a CPU makes of the same draws.") : h("span", {});
  }

  get settings() {
    const state = this.context.state();
    const last = Math.max(1, this.found.epochs || 1);
    const off = (state.off || "").split(".").filter(Boolean).map(Number);
    return { split: this.splits.includes(state.split) ? state.split : this.splits[0], first: clamp(state.first, 0, 1e9, 0), epoch: clamp(state.epoch, 1, last, 1), last, seed: clamp(state.seed, 0, 2 ** 31 - 1, this.found.seed), off };
  }

  /** The image that the address names, else the first of the training images shown. */
  get sample() {
    const { sample } = this.context.state();
    return sample ?? (this.settings.split === "train" ? this.page[0]?.id : undefined);
  }

  async update() {
    this.drawInspector();
    if (this.found.problem) return;
    await this.drawImages();
    this.drawControls();
    await this.drawVariants();
  }

  async drawImages() {
    const { split, first } = this.settings;
    const key = `${split} ${first}`;
    const { context } = this;
    if (key !== this.shown) {
      const { head, arrays } = await packed("/api/dataset/images", { model: context.model.id, split, first }, context.signal);
      if (key !== `${this.settings.split} ${this.settings.first}`) return;
      this.shown = key;
      this.page = head.images;
      const segments = this.splits.map((name) => h("button", { "aria-pressed": String(name === split), onclick: () => context.set({ split: name, first: null }) }, `${name} ${this.found.splits[name].toLocaleString("en")}`));
      const go = (/** @type {number} */ to) => context.set({ first: to || null });
      const pages = head.count > head.page ? h("span.row.pager", {}, h("button", { disabled: !first, "aria-label": "Images before", onclick: () => go(Math.max(0, first - head.page)) }, "‹"), h("span.mono", {}, `${first + 1} to ${Math.min(head.count, first + head.page)}`), h("button", { disabled: first + head.page >= head.count, "aria-label": "Images after", onclick: () => go(first + head.page) }, "›")) : null;
      const tiles = head.images.map((/** @type {any} */ one, /** @type {number} */ place) => {
        const { canvas } = picture(arrays.levels, place);
        return h("button.tile.sample", { "data-sample": one.id, title: one.id, "aria-label": `${one.id} ${one.text}`, disabled: split !== "train", onclick: () => context.set({ sample: one.id }) }, canvas, h("span", {}, one.text || one.id));
      });
      fill(this.images, h("div.row.detail-head", {}, h("h2", {}, "Images"), h("span.segments", {}, segments), pages), split === "train" ? null : h("p.note", {}, "Only training images are augmented."), tiles.length ? h("div.grid", {}, tiles) : h("p.empty", {}, "None."));
    }
    for (const one of this.images.querySelectorAll("[data-sample]")) one.classList.toggle("chosen", /** @type {HTMLElement} */ (one).dataset.sample === this.sample);
  }

  drawControls() {
    const { epoch, last, seed, off } = this.settings;
    const { set } = this.context;
    const key = `${seed} ${off} ${this.sample}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const toggle = (/** @type {number} */ place) => set({ off: (off.includes(place) ? off.filter((one) => one !== place) : [...off, place]).sort((a, b) => a - b).join(".") || null });
    const switches = this.found.operations.map((/** @type {any} */ one, /** @type {number} */ place) => h("button", { "aria-pressed": String(!off.includes(place)), "data-operation": one.kind, title: words(one), onclick: () => toggle(place) }, one.kind.replaceAll("_", " ")));
    const number = h("input", { type: "number", min: 0, value: seed, "aria-label": "Seed", onchange: (/** @type {any} */ event) => set({ seed: Number(event.target.value) === this.found.seed ? null : event.target.value }) });
    fill(this.controls,
      last > 1 ? slider("From epoch", { min: 1, max: last }, epoch, (value) => `${value} of ${last}`, (value) => set({ epoch: value }, true)) : null,
      h("label.field", {}, "Seed", number),
      switches.length ? h("span.field.row", {}, h("span.note", {}, "Operations"), h("span.segments.wrapping", {}, switches)) : null);
    const none = switches.length ? null : h("p.note", {}, "The recipe has no augmentation: the network gets each image as it is.");
    fill(this.augmented, h("h2", {}, this.sample ? `What the network got of ${this.sample}` : "Choose a training image below"), none, this.sample ? [this.controls, this.grid] : null);
  }

  async drawVariants() {
    const { context, sample } = this;
    const { epoch, last, seed, off } = this.settings;
    if (!sample) return fill(this.grid);
    this.asked.abort();
    this.asked = new AbortController();
    const signal = AbortSignal.any([this.asked.signal, context.signal]);
    const query = { model: context.model.id, sample, epoch: epoch - 1, count: VARIANTS, seed, off: off.join(".") || null };
    const { head, arrays } = await packed("/api/dataset/variants", query, signal);
    const before = picture(arrays.stored, null);
    const own = h("figure.variant", {}, before.canvas, h("figcaption.note", {}, "as stored"));
    const made = head.epochs.map((/** @type {number} */ one, /** @type {number} */ place) => h("figure.variant", { "data-epoch": one + 1 }, picture(arrays.levels, place).canvas, h("figcaption.note", {}, `epoch ${one + 1}${one < last ? "" : ", had it gone on"}`)));
    const missing = VARIANTS - made.length;
    fill(this.grid, own, made, missing ? h("p.note", {}, `It was not drawn in ${missing} of these epochs.`) : null);
  }

  classes() {
    const { classes, num_classes: all, class_counts: counts } = this.found;
    if (!classes.length || !Object.keys(counts).length) return h("span", {});
    const most = Math.max(1, ...this.splits.flatMap((name) => counts[name] || []));
    const rows = classes.slice(0, MAX_BARS).map((/** @type {string} */ name, /** @type {number} */ at) => {
      const bar = h("span.bar-fill", {});
      bar.style.width = `${(100 * (counts.train?.[at] || 0)) / most}%`;
      return [name, h("span.bar-box.wide", {}, bar), ...this.splits.map((split) => (counts[split]?.[at] ?? 0).toLocaleString("en"))];
    });
    const rest = all > MAX_BARS ? h("p.note", {}, `${all - MAX_BARS} more classes; all of them stand in what "CSV" copies.`) : null;
    return h("section.detail", {}, h("h2", {}, "Classes"), table(["class", "", ...this.splits.map((name) => `>${name}`)], rows), rest);
  }

  drawInspector() {
    const { found } = this;
    const sizes = Object.entries(found.sizes || {}).map(([name, size]) => [h("dt", {}, name), h("dd.mono", {}, size.join(" × "))]);
    const findings = found.findings.map((/** @type {any} */ one) => h("li", { "data-severity": one.severity }, h("b", {}, one.severity), " ", one.text));
    this.leaks = h("div", {}, found.problem ? null : h("button", { "data-leaks": "", onclick: () => void this.context.busy(this.look()) }, "Look for copies between splits"));
    fill(this.context.inspector, h("h2", {}, found.name),
      h("dl.facts", {}, this.splits.map((name) => [h("dt", {}, name), h("dd.mono", { "data-count": name }, found.splits[name].toLocaleString("en"))]), found.num_classes ? [h("dt", {}, "classes"), h("dd.mono", {}, found.num_classes)] : null),
      sizes.length ? [h("h3", {}, "Sizes of files"), h("dl.facts", {}, sizes), Object.entries(found.sides || {}).map(([side, bins]) => histogram(side, bins))] : null,
      h("h3", {}, "Found before training"), findings.length ? h("ul.findings", {}, findings) : h("p.note", {}, "Nothing."),
      h("h3", {}, "Copies"), this.leaks,
      found.notes.length ? [h("h3", {}, "Notes"), found.notes.map((/** @type {string} */ text) => h("p.note", {}, text))] : null);
  }

  async look() {
    const place = /** @type {HTMLElement} */ (this.leaks);
    fill(place, h("p.note", { role: "status" }, "Every file is read…"));
    const { pairs } = await stream("/api/dataset/leaks", { model: this.context.model.id }, () => {}, this.context.signal);
    const rows = pairs.map((/** @type {any} */ one) => [`${one.copy} (${one.split})`, `${one.original} (${one.of})`]);
    fill(place, rows.length ? table(["copy", "of"], rows) : h("p.note", { "data-none": "" }, "No image of val or test is a copy of one of train."));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { epoch, last } = this.settings;
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!by || this.found.problem) return false;
    this.context.set({ epoch: Math.min(last, Math.max(1, epoch + by)) }, true);
    return true;
  }

  numbers() {
    const { classes, class_counts: counts } = this.found;
    return { columns: ["class", ...this.splits], rows: classes.map((/** @type {string} */ name, /** @type {number} */ at) => [name, ...this.splits.map((split) => counts[split]?.[at] ?? null)]) };
  }

  code() {
    const { epoch, seed, off } = this.settings;
    const more = off.length ? `, off=[${off.join(", ")}]` : "";
    return ["from striate.base.rundir import RunDir", "from striate.run.training_images import TrainingImages", "", `images = TrainingImages(RunDir(${JSON.stringify(this.context.model.title)}))  # the run's folder`, `print(images.variant(${JSON.stringify(this.sample || "")}, ${epoch - 1}, seed=${seed}${more}).values)`, ""].join("\n");
  }

  drawing() {
    return this.grid.querySelector("canvas");
  }

  leave() {
    this.asked.abort();
  }
}

/**
 * How many files have which length of a side.
 * @param {string} side
 * @param {{ edges: number[], counts: number[] }} bins
 */
function histogram(side, { edges, counts }) {
  if (counts.length < 2) return null;
  const [width, most, last] = [240 / counts.length, Math.max(...counts), edges[edges.length - 1] - 1];
  const bars = counts.map((count, at) => svg("rect", { x: at * width, y: 52 - (48 * count) / most, width: width - 1, height: (48 * count) / most, class: "bar", "data-side": side }, svg("title", {}, `${count} with a ${side} of ${edges[at]} to ${edges[at + 1] - 1}`)));
  const words = [[0, `${side} ${edges[0]}`, "start"], [240, last, "end"]].map(([x, text, anchor]) => svg("text", { x, y: 66, "text-anchor": anchor }, text));
  return svg("svg.lengths", { viewBox: "0 0 240 70", role: "img", "aria-label": `${side} of the files, ${edges[0]} to ${last}` }, bars, svg("line", { x1: 0, x2: 240, y1: 52.5, y2: 52.5 }), words);
}

/**
 * A canvas with levels (C, H, W), or with those at a place of (N, C, H, W).
 * @param {any} levels
 * @param {number | null} place
 */
function picture(levels, place) {
  const shape = place === null ? levels.shape : levels.shape.slice(1);
  const size = shape.reduce((/** @type {number} */ all, /** @type {number} */ side) => all * side, 1);
  const canvas = h("canvas.map", {});
  paintImage(canvas, place === null ? levels : levels.subarray(place * size, (place + 1) * size), shape);
  return { canvas };
}

/** @param {Record<string, any>} operation */
function words({ kind, ...settings }) {
  return `${kind}: ${Object.entries(settings).map(([name, value]) => `${name} ${typeof value === "number" ? num(value) : value}`).join(", ") || "no settings"}`;
}
