// V10: what was answered wrongly. A cell of the confusion matrix shows its images; each goes on to the probe.

import { cssOf } from "../colour.js";
import { fill, h, num, svg } from "../dom.js";
import { json } from "../net.js";

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const view = new Errors(context);
  main.append(view.controls, view.matrix, view.list);
  return view;
};

class Errors {
  /** @param {import("../types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.controls = h("div.controls", {});
    this.matrix = h("section.scroll", {});
    this.list = h("section.wrong", {});
    /** @type {any} */
    this.found = null;
  }

  async update() {
    const { context } = this;
    const { split, truth, said, share, against } = context.state();
    const found = await json("/api/errors", { model: context.model.id, split, truth, said, against }, context.signal);
    this.found = found;
    const splits = found.splits.map((/** @type {string} */ name) => h("button", { "aria-pressed": String(name === found.split), onclick: () => context.set({ split: name }) }, name));
    const shares = found.names && [["", "counts"], ["row", "share of the class"]].map(([key, text]) => h("button", { "aria-pressed": String((share || "") === key), onclick: () => context.set({ share: key || null }) }, text));
    const others = found.others?.length ? h("label.field", {}, "Less those of", h("select", { "aria-label": "Compare with", onchange: (/** @type {any} */ event) => context.set({ against: event.target.value || null, truth: null, said: null }) }, [h("option", { value: "", selected: !against }, "no other run"), ...found.others.map((/** @type {any} */ one) => h("option", { value: one.id, selected: one.id === against }, one.title))])) : null;
    fill(this.controls, h("span.segments", {}, splits), shares && !against ? h("span.segments", {}, shares) : null, others);
    fill(this.matrix, found.names ? this.drawMatrix(found, share === "row" && !against) : null);
    this.drawImages(found);
    this.drawInspector(found);
  }

  /**
   * @param {any} found
   * @param {boolean} isShare
   */
  drawMatrix(found, isShare) {
    const { context } = this;
    const { truth, said } = context.state();
    const { against } = found;
    const value = (/** @type {number} */ row, /** @type {number} */ column) => (found.confusion[row][column] - (against ? against[row][column] : 0)) / (isShare ? found.support[row] || 1 : 1);
    const high = Math.max(1e-9, ...found.confusion.flatMap((/** @type {number[]} */ row, /** @type {number} */ i) => row.map((_, j) => (i === j ? 0 : Math.abs(value(i, j))))));
    const scale = against ? { ramp: "signed", low: -high, high } : { ramp: "viridis", low: 0, high };
    const head = h("tr", {}, h("td", {}, "true \\ answer"), found.names.map((/** @type {string} */ name) => h("th.turned", { scope: "col", title: name }, h("span", {}, name))));
    const rows = found.names.map((/** @type {string} */ name, /** @type {number} */ row) => h("tr", {}, h("th.true-name", { scope: "row", title: name }, name),
      found.names.map((/** @type {string} */ other, /** @type {number} */ column) => {
        const [a, b] = [found.classes[row], found.classes[column]];
        const count = found.confusion[row][column];
        const isChosen = truth === String(a) && said === String(b);
        const more = value(row, column);
        const text = against ? (more ? `${more > 0 ? "+" : "−"}${Math.abs(more)}` : count || against[row][column] ? "0" : "") : isShare ? (count ? `${Math.round(100 * value(row, column))}%` : "") : count || "";
        const cell = h("button.confusion-cell", { "data-truth": a, "data-said": b, "aria-pressed": String(isChosen), title: `${count} of ${name} called ${other}${against ? `, ${against[row][column]} by the other run` : ""}`, "aria-label": `${count} of ${name} called ${other}`, onclick: () => context.set({ truth: isChosen ? null : a, said: isChosen ? null : b }) }, text);
        if (row !== column && (against ? more : count)) {
          const { back, ink } = cssOf(more, scale);
          cell.style.background = back;
          cell.style.color = ink;
        }
        return h(row === column ? "td.right" : "td", {}, cell);
      })));
    const cut = found.names.length < found.num_classes ? h("caption.note", {}, `the ${found.names.length} of ${found.num_classes} classes with most errors`) : null;
    return h("table.confusion", {}, cut, h("thead", {}, head), h("tbody", {}, rows));
  }

  /** @param {any} found */
  drawImages(found) {
    const { context } = this;
    const { truth, said } = context.state();
    const what = truth !== undefined && said !== undefined ? "in this cell" : found.against ? "answered wrongly by this run alone" : found.names ? "answered wrongly" : "by their loss";
    const cards = found.images.map((/** @type {any} */ one) => {
      const image = one.is_kept ? h("img", { src: `/api/images/${one.id}/thumbnail?side=160`, alt: "", loading: "lazy" }) : h("span.gone", {}, "not kept in the run");
      return h("button.wrong-card", { "data-image": one.id, title: one.title, disabled: !one.is_kept, onclick: () => context.set({ view: "probe", image: one.id }) }, image,
        h("span.wrong-title", {}, one.title),
        one.said !== undefined ? [h("span", {}, `${one.said} `, h("b.mono", {}, num(one.p_said, 3))), h("span.note", {}, `true: ${one.truth} `, h("span.mono", {}, num(one.p_truth, 3)))] : h("span.note.mono", {}, `loss ${num(one.loss, 4)}`));
    });
    fill(this.list, h("h2", {}, `${found.found} ${found.found === 1 ? "image" : "images"} ${what}`), found.images.length < found.found ? h("p.note", {}, `the ${found.images.length} with the largest loss`) : null, cards.length ? h("div.wrong-grid", {}, cards) : h("p.empty", {}, "None."));
  }

  /** @param {any} found */
  drawInspector(found) {
    if (!found.names) return fill(this.context.inspector);
    const right = found.confusion.reduce((/** @type {number} */ sum, /** @type {number[]} */ row, /** @type {number} */ i) => sum + row[i], 0);
    const pairs = found.confusion.flatMap((/** @type {number[]} */ row, /** @type {number} */ i) => row.map((count, j) => ({ i, j, count }))).filter((/** @type {any} */ one) => one.i !== one.j && one.count).sort((/** @type {any} */ a, /** @type {any} */ b) => b.count - a.count).slice(0, 12);
    const whole = found.names.length === found.num_classes;
    fill(this.context.inspector, h("h2", {}, found.split === "val" ? "Validation" : found.split === "test" ? "Test" : found.split),
      h("dl.facts", {}, h("dt", {}, "images"), h("dd.mono", {}, found.count), whole ? [h("dt", {}, "right"), h("dd.mono", {}, `${right} (${num((100 * right) / found.count, 3)}%)`)] : null),
      found.right ? h("p.note", { "data-right": found.right.join(" ") }, `Right: ${found.right[0]} here, ${found.right[1]} by the other run.`) : null,
      found.calibration ? [h("h3", {}, "Calibration"), calibration(found.calibration), h("p.note", { "data-ece": found.calibration.error }, `Where it was so sure (across), so often it was right (up); bars: how many images. Expected calibration error ${num(found.calibration.error, 3)}.`)] : null,
      h("h3", {}, "Most confused"),
      pairs.map((/** @type {any} */ { i, j, count }) => h("button.item.pair", { onclick: () => this.context.set({ truth: found.classes[i], said: found.classes[j] }) }, h("span", {}, `${found.names[i]} called ${found.names[j]}`), h("span.mono", {}, count))));
  }

  numbers() {
    const { found } = this;
    return { columns: ["image", "truth", "answer", "p answer", "p truth", "loss"], rows: found.images.map((/** @type {any} */ one) => [one.title, one.truth ?? null, one.said ?? null, one.p_said ?? null, one.p_truth ?? null, one.loss]) };
  }
}

const SIDE = 200;

/**
 * Confidence against the share that is right, with the diagonal where both are the same, and how many images there are.
 * @param {{ bins: { lower: number, upper: number, confidence: number | null, accuracy: number | null, count: number }[] }} found
 */
function calibration({ bins }) {
  const most = Math.max(1, ...bins.map((one) => one.count));
  const at = (/** @type {number} */ share) => 24 + share * (SIDE - 32);
  const up = (/** @type {number} */ share) => SIDE - at(share);
  const bars = bins.map((one) => svg("rect.count", { x: at(one.lower) + 0.5, width: at(one.upper) - at(one.lower) - 1, y: up(0.3 * (one.count / most)), height: up(0) - up(0.3 * (one.count / most)) }));
  const known = bins.filter((one) => one.count && one.confidence !== null && one.accuracy !== null);
  const dots = known.map((one) => svg("circle", { cx: at(/** @type {number} */ (one.confidence)), cy: up(/** @type {number} */ (one.accuracy)), r: 3.5, "data-bin": `${one.confidence} ${one.accuracy} ${one.count}` }, svg("title", {}, `${one.count} images: ${num(one.confidence, 3)} sure, ${num(one.accuracy, 3)} right`)));
  const line = known.map((one, place) => `${place ? "L" : "M"}${at(/** @type {number} */ (one.confidence))} ${up(/** @type {number} */ (one.accuracy))}`).join("");
  const ticks = [0, 0.5, 1].flatMap((share) => [svg("text", { x: at(share), y: SIDE - 8, "text-anchor": "middle" }, share), svg("text", { x: 18, y: up(share) + 4, "text-anchor": "end" }, share)]);
  return svg("svg.calibration", { viewBox: `0 0 ${SIDE} ${SIDE}`, role: "img", "aria-label": "Calibration curve" }, bars, svg("line.diagonal", { x1: at(0), y1: up(0), x2: at(1), y2: up(1) }), ticks, svg("path.curve", { d: line }), dots);
}
