// V6: the smallest change of the image that changes the answer, along the way of FGSM.

import { paint, paintImage } from "../colour.js";
import { fill, h, num, svg, table } from "../dom.js";
import { packed } from "../net.js";
import { slider } from "../subject.js";
import { clamp, panel } from "./probe.js";

const TIMES = [1, 4, 16, 64];
const MOST = 16; // levels of 255
const [WIDEST, HIGH, LEFT, TOP] = [640, 190, 34, 12];
const COLOURS = ["var(--accent)", "#c2571a", "#7b5ea7", "#4a7d2c", "#a33b5f"];
const DASHES = ["", "6 3", "2 3", "8 3 2 3", "1 3"];

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const view = new Attack(context);
  await view.load();
  main.append(view.controls, view.finding, view.place, view.chart);
  return view;
};

class Attack {
  /** @param {import("../types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.controls = h("div.controls", {});
    this.finding = h("p.finding", { role: "status" });
    this.panels = ["The image", "Moved", "What was changed"].map((name) => panel(name));
    this.place = h("div.maps.three", {}, this.panels.map((one) => one.element));
    this.chart = h("section.detail", {});
    this.drawn = "";
    this.wanted = "";
    this.head = /** @type {any} */ (null);
    this.arrays = /** @type {any} */ (null);
  }

  get settings() {
    const { level, times } = this.context.state();
    const usual = this.head.reached ?? this.head.smallest ?? 4;
    return { level: clamp(level, 0, MOST, usual), times: TIMES.includes(Number(times)) ? Number(times) : 16 };
  }

  async load() {
    const { model, image, signal } = this.context;
    const wanted = this.context.state().wanted || "";
    const { head, arrays } = await packed("/api/attack", { model: model.id, image: image.id, target: wanted }, signal);
    if (wanted !== (this.context.state().wanted || "")) return;
    [this.head, this.arrays, this.wanted] = [head, arrays, wanted];
    const { levels } = arrays;
    for (const one of this.panels) one.size(levels.shape[1], levels.shape[2]);
    paintImage(this.panels[0].canvas, levels, levels.shape);
    this.panels[0].title("The image", `answered ${head.answers[0].join(", ") || "nothing"}`);
  }

  async update() {
    if ((this.context.state().wanted || "") !== this.wanted) await this.load();
    this.drawControls();
    this.draw();
  }

  drawControls() {
    const { level, times } = this.settings;
    const key = `${this.wanted} ${times}`;
    const input = /** @type {HTMLInputElement | null} */ (this.controls.querySelector("input"));
    if (key === this.drawn && input) {
      if (input !== document.activeElement) input.value = String(level);
      fill(this.controls.querySelector(".slider-value"), `${level} / 255`);
      return;
    }
    this.drawn = key;
    const { set } = this.context;
    const own = this.head.answers[0];
    const names = this.head.choices.filter((/** @type {string} */ name) => !own.includes(name));
    const options = [h("option", { value: "", selected: !this.wanted }, "any other answer"), ...names.map((/** @type {string} */ name) => h("option", { value: name, selected: name === this.wanted }, name))];
    const segments = TIMES.map((one) => h("button", { "aria-pressed": String(one === times), onclick: () => set({ times: one === 16 ? null : one }) }, `× ${one}`));
    fill(this.controls,
      h("label.field", {}, "Make it answer", h("select", { "aria-label": "Make it answer", onchange: (/** @type {any} */ event) => set({ wanted: event.target.value || null, level: null }) }, options)),
      slider("Epsilon", { min: 0, max: MOST }, level, (value) => `${value} / 255`, (value) => set({ level: value }, true)),
      h("span.field.row", {}, h("span.note", {}, "Change shown"), h("span.segments", {}, segments)));
  }

  /** All of it was worked out before: a step of the slider paints, and asks nobody. */
  draw() {
    const { level, times } = this.settings;
    const { head } = this;
    const { levels, way } = this.arrays;
    const [channels, height, width] = levels.shape;
    const moved = Uint8Array.from(levels, (one, at) => Math.min(255, Math.max(0, one + level * (way[at] - 1))));
    const size = height * width;
    const change = new Float32Array(size);
    let most = 0;
    for (let at = 0; at < channels * size; at++) {
      const by = moved[at] - levels[at];
      change[at % size] += by / channels;
      most = Math.max(most, Math.abs(by));
    }
    paintImage(this.panels[1].canvas, moved, levels.shape);
    this.panels[1].title("Moved", `answered ${head.answers[level].join(", ") || "nothing"}`);
    const end = 255 / times;
    paint(this.panels[2].canvas, change, height, width, { ramp: "signed", low: -end, high: end });
    this.panels[2].title("What was changed", `mean of the channels × ${times}; red up, blue down`);
    this.panels[1].element.dataset.most = String(most);
    const reached = this.wanted ? head.reached : head.smallest;
    const what = this.wanted ? `becomes ${this.wanted}` : "changes";
    const go = (/** @type {number} */ to) => this.context.set({ level: to }, true);
    fill(this.finding, reached === null ? `Up to ${MOST} levels of 255 the answer never ${what}.` : [`The answer ${what} at `, h("button.quiet", { "data-reached": reached, onclick: () => go(reached) }, `epsilon ${reached} / 255`), `: no number of the image moves by more than ${reached} ${reached === 1 ? "level" : "levels"} of 255.`]);
    this.drawChart(level, reached);
    this.inspect(level, most);
  }

  /**
   * Probabilities along the way.
   * @param {number} level
   * @param {number | null} reached
   */
  drawChart(level, reached) {
    const { names } = this.head;
    const wide = Math.min(WIDEST, Math.max(300, this.chart.clientWidth || WIDEST)); // so that its text keeps its size
    const [x, y] = [(/** @type {number} */ at) => LEFT + (at / MOST) * (wide - LEFT - 12), (/** @type {number} */ share) => TOP + (1 - share) * (HIGH - TOP - 26)];
    const line = (/** @type {number} */ row) => this.shares(row).map((share, at, all) => (Number.isFinite(share) ? `${Number.isFinite(all[at - 1]) ? "L" : "M"}${x(at)} ${y(share)}` : "")).join("");
    const ticks = [0, 4, 8, 12, 16].map((at) => svg("text", { x: x(at), y: HIGH - 6, "text-anchor": "middle" }, at));
    const sides = [0, 0.5, 1].map((share) => [svg("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, share), svg("path.grid-line", { d: `M${LEFT} ${y(share)}H${wide - 12}`, fill: "none" })]);
    const upright = (/** @type {number} */ at, /** @type {Record<string, string>} */ look) => svg("path", { d: `M${x(at)} ${TOP}V${y(0)}`, fill: "none", ...look });
    const lines = names.map((/** @type {string} */ name, /** @type {number} */ row) => svg("path", { d: line(row), fill: "none", stroke: COLOURS[row], "stroke-width": 2, "stroke-dasharray": DASHES[row] }, svg("title", {}, name)));
    const drawing = svg("svg.plot", { viewBox: `0 0 ${wide} ${HIGH}`, role: "img", "aria-label": "Probability of each class by epsilon" }, sides, reached === null ? null : upright(reached, { stroke: "var(--soft)", "stroke-dasharray": "3 3" }), upright(level, { stroke: "var(--ink)" }), lines, ticks);
    drawing.addEventListener("click", (/** @type {PointerEvent} */ event) => {
      const box = drawing.getBoundingClientRect();
      const at = (((event.clientX - box.left) / box.width) * wide - LEFT) / ((wide - LEFT - 12) / MOST);
      this.context.set({ level: clamp(at, 0, MOST, 0) }, true);
    });
    const key = (/** @type {string} */ name, /** @type {number} */ row) => h("span.legend", {}, svg("svg", { viewBox: "0 0 24 8", width: 24, height: 8, "aria-hidden": "true" }, svg("path", { d: "M0 4H24", stroke: COLOURS[row], "stroke-width": 2, "stroke-dasharray": DASHES[row] })), name);
    fill(this.chart, h("h2", {}, "Probability by epsilon, in levels of 255"), drawing, h("p.row.note", {}, names.map(key)));
    this.plot = drawing;
  }

  /** @param {number} row */
  shares(row) {
    const count = this.head.eps.length;
    return Array.from(/** @type {Float32Array} */ (this.arrays.shares.subarray(row * count, (row + 1) * count)));
  }

  /**
   * @param {number} level
   * @param {number} most
   */
  inspect(level, most) {
    const { head } = this;
    const rows = head.names.map((/** @type {string} */ name, /** @type {number} */ row) => [name, num(this.shares(row)[0], 4), num(this.shares(row)[level], 4)]);
    const isWarm = this.context.model.temperature !== 1;
    fill(this.context.inspector,
      h("h2", { "data-answer": head.answers[level].join(", ") }, head.answers[level].join(", ") || "no answer"),
      h("p.note", {}, `answered at epsilon ${level} / 255; ${head.answers[0].join(", ") || "nothing"} at 0`),
      table(["class", ">before", ">now"], rows),
      h("dl.facts", {}, h("dt", {}, "epsilon"), h("dd.mono", {}, num(level / 255, 4)), h("dt", {}, "largest change"), h("dd.mono", {}, `${most} / 255`)),
      h("p.note", {}, `One step along the sign of the gradient of the loss, then cut to 0…255${this.wanted ? `; it lowers the loss of ${this.wanted}` : "; it raises the loss of the network's own answer"}.${isWarm ? " Probabilities without the temperature." : ""} Stronger attacks may need less; arrows move epsilon.`));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key];
    if (!by) return false;
    this.context.set({ level: clamp(this.settings.level + by, 0, MOST, 0) }, true);
    return true;
  }

  numbers() {
    const { eps, answers, names } = this.head;
    return { columns: ["eps", "answer", ...names], rows: eps.map((/** @type {number} */ one, /** @type {number} */ at) => [one, answers[at].join(", "), ...names.map((/** @type {string} */ _, /** @type {number} */ row) => this.shares(row)[at])]) };
  }

  code() {
    const { model, image } = this.context;
    const losses = this.wanted ? `lowering(predictor.task, wanted(predictor.task, own, ${JSON.stringify(this.wanted)}))` : "raising(predictor.task, own)";
    return ["from striate.inside.adversarial import PixelSpace, flips, lowering, own_answer, raising, wanted", "from striate.predict import Predictor", "",
      `predictor = Predictor.load(${JSON.stringify(model.title)})  # the run's folder`, `images = predictor.inputs([predictor.fitted(${JSON.stringify(image.title)})])`,
      "space, own = PixelSpace(predictor.mean, predictor.std), own_answer(predictor.network, predictor.task, images)", `losses = ${losses}`,
      "found = flips(predictor.network, space.pixels(images), losses, predictor.task, space)", "print(found.smallest, found.values, found.probabilities)", ""].join("\n");
  }

  drawing() {
    return this.plot;
  }
}
