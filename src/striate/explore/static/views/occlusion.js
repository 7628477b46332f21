// V5: how the score falls when a patch covers the image, place by place.

import { paintImage } from "../colour.js";
import { fill, h, num } from "../dom.js";
import { packed, stream } from "../net.js";
import { paintOver, scaleOfMap, strip } from "../overlay.js";
import { bars, picker, readAnswer, slider, step, targetOf, unknown } from "../subject.js";
import { clamp, panel } from "./probe.js";

const PIXELS = { black: 0, grey: 0.5, white: 1 };
const FILLS = { mean: "mean of the training images", black: "black", grey: "grey", white: "white" };
const SHARE = 5; // a patch of a fifth of the shorter side, as on the command line
const WAIT_MS = 150; // a slider's steps come faster than answers
const STRENGTH = 0.5;

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const view = new Occlusion(context, await readAnswer(context));
  view.build(main);
  return view;
};

class Occlusion {
  /**
   * @param {import("../types.js").Context} context
   * @param {import("../subject.js").Answer} answer
   */
  constructor(context, answer) {
    this.context = context;
    this.answer = answer;
    this.controls = h("div.controls", {});
    this.progress = h("div.running", { role: "status" });
    this.place = h("div.maps.two", {});
    this.heat = panel("Fall of the score");
    this.covered = panel("Covered");
    /** @type {any} */
    this.result = null;
    this.question = "";
    this.cell = "";
    this.drawn = "";
    this.stop = new AbortController();
  }

  /** @param {HTMLElement} main */
  build(main) {
    const [, height, width] = this.answer.levels.shape;
    for (const one of [this.heat, this.covered]) one.size(height, width);
    const target = this.heat.stage;
    target.tabIndex = 0;
    target.setAttribute("role", "application");
    target.setAttribute("aria-label", "Heat map: arrows move the patch");
    target.addEventListener("click", (/** @type {PointerEvent} */ event) => {
      const pixel = this.heat.cellAt(event);
      if (pixel) this.context.set(pixel, true);
    });
    this.place.append(this.heat.element, this.covered.element);
    main.append(this.controls, this.progress, this.place);
  }

  get settings() {
    const state = this.context.state();
    const [, height, width] = this.answer.levels.shape;
    const side = Math.min(height, width);
    const patch = clamp(state.patch, 1, side, Math.max(1, Math.floor(side / SHARE)));
    const stride = clamp(state.stride, 1, patch, Math.max(1, Math.floor(patch / 2)));
    return { patch, stride, fill: state.fill in FILLS ? state.fill : "mean" };
  }

  get query() {
    const { model, image } = this.context;
    return { model: model.id, image: image.id, target: this.context.state().target, ...this.settings };
  }

  /** Which place of the patch the state's pixel is at: [row, column, number], null before there is a result. */
  get chosen() {
    if (!this.result) return null;
    const { y, x } = this.context.state();
    const [, columns] = this.result.grid;
    if (y === undefined) {
      const best = Math.max(0, this.result.falls.indexOf(Math.max(...this.result.falls))); // falls may be no numbers
      return [Math.floor(best / columns), best % columns, best];
    }
    const [row, column] = [this.at(Number(y), 0), this.at(Number(x), 1)];
    return [row, column, row * columns + column];
  }

  /**
   * The place whose middle is the nearest to a pixel's row (or column).
   * @param {number} pixel
   * @param {number} axis
   */
  at(pixel, axis) {
    const { patch, stride } = this.settings;
    return clamp(Math.floor((pixel - (patch - stride) / 2) / stride), 0, this.result.grid[axis] - 1, 0);
  }

  async update() {
    this.drawControls();
    const isKnown = targetOf(this.context, this.answer) !== null;
    fill(this.place, isKnown ? [this.heat.element, this.covered.element] : unknown(this.context));
    if (!isKnown) {
      this.stop.abort();
      this.question = "";
      return fill(this.progress);
    }
    const question = JSON.stringify(this.query);
    if (question !== this.question) {
      this.question = question;
      this.stop.abort();
      await new Promise((go) => setTimeout(go, this.result ? WAIT_MS : 0));
      if (question === this.question) await this.run();
    } else if (this.result) await this.choose();
  }

  drawControls() {
    const { patch, stride, fill: filling } = this.settings;
    const key = this.context.state().target || "";
    if (this.drawn === `${key} ${patch} ${stride} ${filling}` || this.controls.contains(document.activeElement) && /** @type {any} */ (document.activeElement).type === "range") return this.limit(patch);
    this.drawn = `${key} ${patch} ${stride} ${filling}`;
    const [, height, width] = this.answer.levels.shape;
    const { set } = this.context;
    const fills = h("select", { "aria-label": "Filling", onchange: (/** @type {any} */ event) => set({ fill: event.target.value === "mean" ? null : event.target.value }) },
      Object.entries(FILLS).map(([name, text]) => h("option", { value: name, selected: name === filling }, text)));
    const px = (/** @type {number} */ value) => `${value} px`;
    this.strides = slider("Stride", { min: 1, max: patch }, stride, px, (value) => set({ stride: value }, true));
    fill(this.controls, picker(this.context, this.answer),
      slider("Patch", { min: 1, max: Math.min(height, width) }, patch, px, (value) => set({ patch: value, stride: null }, true)),
      this.strides, h("label.field", {}, "Filled with", fills));
  }

  /**
   * While a slider is dragged it stays; the other one follows.
   * @param {number} patch
   */
  limit(patch) {
    const input = this.strides?.querySelector("input");
    if (!input || input === document.activeElement) return;
    input.max = String(patch);
    input.value = String(this.settings.stride);
    this.strides.querySelector(".slider-value").textContent = `${this.settings.stride} px`;
  }

  async run() {
    this.stop = new AbortController();
    const { stop, question } = this;
    const bar = h("div", {});
    bar.style.width = "0";
    const text = h("span.note.mono", {}, "0 places");
    fill(this.progress, h("div.progress", {}, bar), h("div.row", {}, text, h("button", { "data-cancel": true, onclick: () => this.cancel(stop) }, "Cancel")));
    this.last = text;
    try {
      const signal = AbortSignal.any([this.context.signal, stop.signal]);
      const onLine = (/** @type {any} */ { progress, done, num: all }) => {
        bar.style.width = `${100 * progress}%`;
        text.textContent = `${done} of ${all} places`;
      };
      const result = await stream("/api/occlusion", this.query, onLine, signal);
      if (question !== this.question) return;
      this.result = result;
    } catch (problem) {
      const { name, status, message, fix } = /** @type {any} */ (problem);
      if (name === "AbortError") return;
      if (status !== 422) throw problem;
      const again = () => void this.context.busy(this.run());
      return fill(this.progress, h("div.row", { role: "alert" }, h("span.note", {}, `${message}: ${fix}.`), h("button", { onclick: again }, "Try again")));
    }
    fill(this.progress);
    this.paint();
    this.cell = "";
    await this.choose();
  }

  /** @param {AbortController} stop */
  cancel(stop) {
    stop.abort();
    const again = () => void this.context.busy(this.run());
    fill(this.progress, h("div.row", {}, h("span.note", {}, `Cancelled after ${/** @type {HTMLElement} */ (this.last).textContent}.`), h("button", { "data-again": true, onclick: again }, "Run again")));
  }

  /** Each pixel has the colour of the place of the patch whose middle is the nearest. */
  paint() {
    const [, height, width] = this.answer.levels.shape;
    const { falls, grid, settings } = this.result;
    const values = new Float32Array(height * width);
    const columns = Array.from({ length: width }, (_, x) => this.at(x, 1));
    for (let y = 0; y < height; y++) {
      const row = this.at(y, 0) * grid[1];
      for (let x = 0; x < width; x++) values[y * width + x] = falls[row + columns[x]];
    }
    this.scale = scaleOfMap(falls, true);
    paintOver(this.heat.canvas, this.answer.levels, values, this.scale, STRENGTH);
    this.heat.title("Fall of the score", `${grid.join(" × ")} places of ${settings.patch} px, every ${settings.stride} px`);
    this.heat.element.querySelector(".range")?.remove();
    const { low, high } = this.scale;
    this.heat.element.append(h("p.note.range.legend", {}, h("span.mono", {}, num(low, 3)), "rises", strip("signed"), "falls", h("span.mono", {}, num(high, 3))));
  }

  async choose() {
    const found = this.chosen;
    if (!found) return;
    const [row, column, number] = found;
    const key = `${this.question} ${number}`;
    if (key === this.cell) return;
    this.cell = key;
    const { head, arrays } = await packed("/api/occlusion/covered", { ...this.query, place: number }, AbortSignal.any([this.context.signal, this.stop.signal]));
    if (key !== this.cell) return;
    const [top, left, bottom, right] = head.box;
    paintImage(this.covered.canvas, arrays.levels, arrays.levels.shape);
    this.covered.title("Covered", `rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}`);
    this.heat.mark([{ y: top, x: left, h: bottom - top, w: right - left }]);
    const { result, context, answer } = this;
    fill(context.inspector,
      h("h2", {}, result.target),
      h("p.note", {}, `With the patch in place ${row}, ${column}, the ${result.score_of} falls by`),
      h("p.result.mono", { "data-fall": head.fall }, num(head.fall)),
      h("dl.facts", {}, h("dt", {}, "whole image"), h("dd.mono", {}, num(result.score)), h("dt", {}, "covered"), h("dd.mono", { "data-score": head.score }, num(head.score))),
      head.ranked.length ? [h("h3", {}, "Probabilities, covered"), bars(context, answer, head.ranked), h("h3", {}, "Probabilities, whole"), bars(context, answer)] : null,
      h("p.note", {}, "Click a place, or move the patch with the arrows. A covered image is unlike any that the network was trained on."));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    const found = this.chosen;
    if (move && found) {
      const { patch, stride } = this.settings;
      const middle = (/** @type {number} */ place, /** @type {number} */ axis) => Math.ceil((patch - stride) / 2) + stride * clamp(place, 0, this.result.grid[axis] - 1, 0);
      this.context.set({ y: middle(found[0] + move[0], 0), x: middle(found[1] + move[1], 1) }, true);
    } else if (event.key === "[" || event.key === "]") step(this.context, this.answer, event.key === "[" ? -1 : 1);
    else return false;
    return true;
  }

  numbers() {
    const { patch, stride } = this.settings;
    const { falls, grid } = this.result || { falls: [], grid: [0, 1] };
    return { columns: ["top", "left", "patch", "fall"], rows: falls.map((/** @type {number} */ value, /** @type {number} */ at) => [stride * Math.floor(at / grid[1]), stride * (at % grid[1]), patch, value]) };
  }

  code() {
    const { model, image } = this.context;
    const { patch, stride, fill: name } = this.settings;
    const pixel = PIXELS[/** @type {keyof typeof PIXELS} */ (name)];
    const filling = pixel === undefined ? "0.0" : `torch.tensor([${model.mean.map((mean, at) => (pixel - mean) / model.std[at]).join(", ")}]).view(-1, 1, 1)`;
    return ["import torch", "", "from striate.inside.explain import explain", "from striate.predict import Predictor", "", `predictor = Predictor.load(${JSON.stringify(model.title)})  # the run's folder`,
      `images = predictor.inputs([predictor.fitted(${JSON.stringify(image.title)})])`, `filling = ${filling}  # ${FILLS[/** @type {keyof typeof FILLS} */ (name)]}, normalised`,
      `(found,) = explain(predictor.network, predictor.task, images, method="occlusion", which=${JSON.stringify(targetOf(this.context, this.answer))}, patch=${patch}, stride=${stride}, fill=filling)`, "print(found.coarse)", ""].join("\n");
  }

  drawing() {
    return this.heat.canvas;
  }

  leave() {
    this.stop.abort();
  }
}
