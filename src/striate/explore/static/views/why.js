// V4: which pixels an answer hangs on, by four methods side by side, and whether that has to do with the weights.

import { fill, h, num, table } from "../dom.js";
import { packed } from "../net.js";
import { paintOver, scaleOfMap, strip } from "../overlay.js";
import { bars, picker, readAnswer, slider, step, targetOf, unknown } from "../subject.js";
import { clamp, panel } from "./probe.js";

const METHODS = { gradient: "Gradient", smoothgrad: "SmoothGrad", integrated: "Integrated gradients", gradcam: "Grad-CAM" };
const STEPS = [8, 32, 128];
const STRENGTH = 60;

/** @typedef {{ head: any, values: Float32Array, scale: import("../overlay.js").Scale }} Shown */
/** @typedef {ReturnType<typeof panel>} Panel */

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const why = new Why(context, await readAnswer(context));
  main.append(why.controls, why.place, why.sanity);
  return why;
};

class Why {
  /**
   * @param {import("../types.js").Context} context
   * @param {import("../subject.js").Answer} answer
   */
  constructor(context, answer) {
    this.context = context;
    this.answer = answer;
    this.controls = h("div.controls", {});
    this.place = h("div.maps", {});
    this.sanity = h("section.detail", {});
    /** @type {Map<string, Panel>} */
    this.panels = new Map();
    /** @type {Map<string, Shown>} what came for the question that is shown */
    this.maps = new Map();
    this.stages = /** @type {{ key: string, head: any, shown: { panel: Panel, values: Float32Array }[] } | null} */ (null);
    this.question = "";
    this.drawn = "";
    this.stop = new AbortController();
  }

  get settings() {
    const state = this.context.state();
    const steps = Number(state.steps);
    return { strength: clamp(state.strength, 0, 100, STRENGTH) / 100, steps: STEPS.includes(steps) ? steps : 32, sanity: state.sanity in METHODS ? state.sanity : "" };
  }

  /** The pixel that the state names, null where it names none. */
  get pixel() {
    const { y, x } = this.context.state();
    const [, height, width] = this.answer.levels.shape;
    return y === undefined ? null : { y: clamp(y, 0, height - 1, 0), x: clamp(x, 0, width - 1, 0) };
  }

  /** @param {string} method */
  query(method) {
    const { model, image } = this.context;
    return { model: model.id, image: image.id, target: this.context.state().target, method, steps: method === "integrated" ? this.settings.steps : null };
  }

  async update() {
    const isKnown = targetOf(this.context, this.answer) !== null;
    this.drawControls();
    this.inspect(null);
    if (!isKnown) {
      this.question = "";
      this.stop.abort();
      fill(this.sanity);
      return fill(this.place, unknown(this.context));
    }
    const question = `${this.context.state().target || ""} ${this.settings.steps}`;
    const loads = question === this.question ? [] : this.ask(question);
    this.paint();
    await Promise.all([...loads, this.checkSanity()]);
  }

  drawControls() {
    const { strength, steps } = this.settings;
    const key = `${this.context.state().target || ""} ${steps}`;
    if (key === this.drawn) return;
    this.drawn = key;
    const segments = STEPS.map((one) => h("button", { "aria-pressed": String(one === steps), onclick: () => this.context.set({ steps: one === 32 ? null : one }) }, one));
    fill(this.controls,
      picker(this.context, this.answer),
      slider("Overlay", { min: 0, max: 100 }, 100 * strength, (value) => `${value} %`, (value) => this.context.set({ strength: value === STRENGTH ? null : value }, true)),
      h("span.field.row", {}, h("span.note", {}, "Steps of integrated gradients"), h("span.segments", {}, segments)),
      h("span.legend.note", {}, "against", strip("signed"), "for; without signs 0", strip("viridis"), "most"));
  }

  /**
   * Ask for all maps of a question; each is shown when it comes.
   * @param {string} question
   */
  ask(question) {
    this.question = question;
    this.stop.abort();
    this.stop = new AbortController();
    this.maps.clear();
    const signal = AbortSignal.any([this.context.signal, this.stop.signal]);
    fill(this.place, Object.keys(METHODS).map((method) => this.card(method)));
    return Object.keys(METHODS).map((method) => this.load(method, signal));
  }

  /** @param {string} method */
  card(method) {
    const one = this.made(method, METHODS[/** @type {keyof typeof METHODS} */ (method)]);
    one.title(METHODS[/** @type {keyof typeof METHODS} */ (method)], "working…");
    this.panels.set(method, one);
    return one.element;
  }

  /**
   * A panel over the image, in which pixels can be pointed at.
   * @param {string} method
   * @param {string} name
   */
  made(method, name) {
    const one = panel(name);
    const [, height, width] = this.answer.levels.shape;
    one.size(height, width);
    one.element.dataset.method = method;
    one.element.append(h("p.note.range", {}, "\u00a0"), h("p.note.caveat", {}));
    one.stage.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => this.inspect(one.cellAt(event)));
    one.stage.addEventListener("pointerleave", () => this.inspect(null));
    one.stage.addEventListener("click", (/** @type {PointerEvent} */ event) => {
      const cell = one.cellAt(event);
      if (cell) this.context.set(cell, true);
    });
    return one;
  }

  /**
   * @param {string} method
   * @param {AbortSignal} signal
   */
  async load(method, signal) {
    const one = /** @type {Panel} */ (this.panels.get(method));
    let found;
    try {
      found = await packed("/api/why", this.query(method), signal);
    } catch (problem) {
      const { status, message, fix } = /** @type {any} */ (problem);
      if (!(status >= 400 && status < 500)) throw problem;
      one.title(METHODS[/** @type {keyof typeof METHODS} */ (method)], "nothing to show");
      one.element.dataset.state = "none";
      const again = () => {
        this.question = "";
        void this.context.busy(this.update());
      };
      fill(one.stage, h("div.none", { role: "alert" }, h("p", {}, message, fix ? h("br") : null, fix), h("button", { onclick: again }, "Try again")));
      return;
    }
    const { head, arrays } = found;
    this.maps.set(method, { head, values: arrays.map, scale: scaleOfMap(arrays.map, head.is_signed) });
    one.title(head.title, head.how);
    const gap = head.gap === null ? null : h("span.mono", { "data-gap": head.gap }, ` gap\u00a0${num(100 * head.gap, 3)}\u00a0%`);
    const { low, high } = this.ends(arrays.map);
    fill(one.element.querySelector(".range"), h("span.mono", {}, `${num(low, 4)} to ${num(high, 4)}`), gap ? [";", gap] : null);
    fill(one.element.querySelector(".caveat"), head.caveat);
    this.paintOne(method);
    this.inspect(null);
  }

  /** @param {Float32Array} values */
  ends(values) {
    return { low: values.reduce((a, b) => Math.min(a, b), Infinity), high: values.reduce((a, b) => Math.max(a, b), -Infinity) };
  }

  paint() {
    for (const method of this.maps.keys()) this.paintOne(method);
    for (const { panel: one, values } of this.stages?.shown || []) {
      const isSigned = this.maps.get(this.settings.sanity)?.head.is_signed || false;
      paintOver(one.canvas, this.answer.levels, values, scaleOfMap(values, isSigned), this.settings.strength);
    }
  }

  /** @param {string} method */
  paintOne(method) {
    const { values, scale } = /** @type {Shown} */ (this.maps.get(method));
    const one = /** @type {Panel} */ (this.panels.get(method));
    paintOver(one.canvas, this.answer.levels, values, scale, this.settings.strength);
  }

  /**
   * The inspector, with the numbers of a pixel: the one pointed at, else the one chosen.
   * @param {{ y: number, x: number } | null} pointed
   */
  inspect(pointed) {
    const { answer, context } = this;
    const cell = pointed || this.pixel;
    for (const one of this.panels.values()) one.mark(cell ? [{ ...cell, h: 1, w: 1 }] : []);
    for (const { panel: one } of this.stages?.shown || []) one.mark(cell ? [{ ...cell, h: 1, w: 1 }] : []);
    const shown = Object.keys(METHODS).flatMap((method) => this.maps.get(method) || []); // not in the order in which they came
    const first = shown[0]?.head;
    const [, , width] = answer.levels.shape;
    const rows = shown.map(({ head, values }) => [head.title, cell ? num(values[cell.y * width + cell.x], 4) : ""]);
    fill(context.inspector,
      h("h2", {}, targetOf(context, answer) ?? "Nothing chosen"),
      first ? h("p.note", {}, `Explained is one number, the ${first.score_of}:`) : h("p.note", {}, "\u00a0"),
      h("p.result.mono", { "data-score": first?.score ?? "" }, first ? num(first.score) : "\u00a0"),
      answer.ranked.length ? [h("h3", {}, "Probabilities"), bars(context, answer)] : h("p.note", {}, `It answers ${answer.answer}.`),
      h("h3", {}, cell ? `Pixel in row ${cell.y}, column ${cell.x}` : "A pixel"),
      cell ? table(["method", ">value"], rows) : h("p.note", {}, "Point at a map; a click keeps the pixel, arrows move it."));
  }

  async checkSanity() {
    const { sanity: method, steps } = this.settings;
    const key = `${method} ${this.context.state().target || ""} ${method === "integrated" ? steps : ""}`;
    if (this.stages?.key === key) return;
    this.stages = { key, head: null, shown: [] };
    const press = (/** @type {string} */ name) => this.context.set({ sanity: name === method ? null : name });
    const names = Object.entries(METHODS).map(([name, text]) => h("button", { "aria-pressed": String(name === method), "data-sanity": name, onclick: () => press(name) }, text));
    const text = h("p.note.finding", { role: "status" }, method ? "Shuffling weights…" : "Shuffle the weights layer by layer, from the answer down, and make the map again: one that stays as it was shows the image, not the network.");
    const place = h("div.maps.stages", {});
    fill(this.sanity, h("div.row.detail-head", {}, h("h2", {}, "Sanity check"), h("span.segments", {}, names)), text, place);
    if (!method) return;
    const { head, arrays } = await packed("/api/why/sanity", this.query(method), AbortSignal.any([this.context.signal, this.stop.signal]));
    if (this.stages.key !== key) return;
    this.stages.head = head;
    const size = arrays.maps.shape[1] * arrays.maps.shape[2];
    const shown = head.stages.map((/** @type {any} */ stage, /** @type {number} */ number) => this.stage(stage, number, head.stages.length));
    this.stages.shown = shown.map((/** @type {Panel} */ one, /** @type {number} */ number) => ({ panel: one, values: arrays.maps.subarray(number * size, (number + 1) * size) }));
    fill(place, shown.map((/** @type {Panel} */ one) => one.element));
    const last = head.stages[head.stages.length - 1].correlation;
    fill(text, `With all weights shuffled, the rank correlation with the map of the network itself is ${num(last, 3)}: `,
      h("strong", { "data-passed": head.is_passed }, head.is_passed ? "passed, the map has to do with the weights" : "failed, the map hardly shows the weights"), ` (below ${head.limit} passes).`);
    this.paint();
  }

  /**
   * @param {{ layer: string, correlation: number }} stage
   * @param {number} number
   * @param {number} count
   */
  stage(stage, number, count) {
    const one = this.made("", "");
    one.title(number === count - 1 ? "All weights shuffled" : `From ${stage.layer} up`, "rank correlation");
    const bar = h("span.bar-fill", { "data-sign": stage.correlation < 0 ? "minus" : "plus" });
    bar.style.width = `${100 * Math.min(1, Math.abs(stage.correlation))}%`;
    fill(one.element.querySelector(".range"), h("span.bar-row", { "data-correlation": stage.correlation }, h("span.bar-box", {}, bar), h("span.mono", {}, num(stage.correlation, 3))));
    return one;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    const move = moves[/** @type {keyof typeof moves} */ (event.key)];
    const [, height, width] = this.answer.levels.shape;
    const from = this.pixel || { y: Math.floor(height / 2), x: Math.floor(width / 2) };
    if (move) this.context.set({ y: clamp(from.y + move[0], 0, height - 1, 0), x: clamp(from.x + move[1], 0, width - 1, 0) }, true);
    else if (event.key === "[" || event.key === "]") step(this.context, this.answer, event.key === "[" ? -1 : 1);
    else return false;
    return true;
  }

  numbers() {
    const [, height, width] = this.answer.levels.shape;
    const maps = [...this.maps.values()];
    const rows = Array.from({ length: height * width }, (_, at) => [Math.floor(at / width), at % width, ...maps.map((one) => one.values[at])]);
    return { columns: ["row", "column", ...maps.map((one) => one.head.method)], rows };
  }

  code() {
    const { model, image } = this.context;
    const which = targetOf(this.context, this.answer);
    return ["from striate.inside.explain import explain", "from striate.predict import Predictor", "", `predictor = Predictor.load(${JSON.stringify(model.title)})  # the run's folder`,
      `images = predictor.inputs([predictor.fitted(${JSON.stringify(image.title)})])`, `for method in ${JSON.stringify(Object.keys(METHODS))}:`,
      `    (found,) = explain(predictor.network, predictor.task, images, method=method, which=${JSON.stringify(which)})`, "    print(found.to_json(), found.map)", ""].join("\n");
  }

  drawing() {
    return this.panels.get("gradcam")?.canvas || null;
  }

  leave() {
    this.stop.abort();
  }
}
