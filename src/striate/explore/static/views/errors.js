// V10: what was answered wrongly. A cell of the confusion matrix shows its images; each goes on to the probe.

import { cssOf } from "../colour.js";
import { fill, h, num } from "../dom.js";
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
    const { split, truth, said, share } = context.state();
    const found = await json("/api/errors", { model: context.model.id, split, truth, said }, context.signal);
    this.found = found;
    const splits = found.splits.map((/** @type {string} */ name) => h("button", { "aria-pressed": String(name === found.split), onclick: () => context.set({ split: name }) }, name));
    const shares = found.names && [["", "counts"], ["row", "share of the class"]].map(([key, text]) => h("button", { "aria-pressed": String((share || "") === key), onclick: () => context.set({ share: key || null }) }, text));
    fill(this.controls, h("span.segments", {}, splits), shares && h("span.segments", {}, shares));
    fill(this.matrix, found.names ? this.drawMatrix(found, share === "row") : null);
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
    const value = (/** @type {number} */ row, /** @type {number} */ column) => found.confusion[row][column] / (isShare ? found.support[row] || 1 : 1);
    const high = Math.max(1e-9, ...found.confusion.flatMap((/** @type {number[]} */ row, /** @type {number} */ i) => row.map((_, j) => (i === j ? 0 : value(i, j)))));
    const head = h("tr", {}, h("td", {}, "true \\ answer"), found.names.map((/** @type {string} */ name) => h("th.turned", { scope: "col", title: name }, h("span", {}, name))));
    const rows = found.names.map((/** @type {string} */ name, /** @type {number} */ row) => h("tr", {}, h("th.true-name", { scope: "row", title: name }, name),
      found.names.map((/** @type {string} */ other, /** @type {number} */ column) => {
        const [a, b] = [found.classes[row], found.classes[column]];
        const count = found.confusion[row][column];
        const isChosen = truth === String(a) && said === String(b);
        const text = isShare ? (count ? `${Math.round(100 * value(row, column))}%` : "") : count || "";
        const cell = h("button.confusion-cell", { "data-truth": a, "data-said": b, "aria-pressed": String(isChosen), title: `${count} of ${name} called ${other}`, "aria-label": `${count} of ${name} called ${other}`, onclick: () => context.set({ truth: isChosen ? null : a, said: isChosen ? null : b }) }, text);
        if (row !== column && count) {
          const { back, ink } = cssOf(value(row, column), { ramp: "viridis", low: 0, high });
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
    const what = truth !== undefined && said !== undefined ? "in this cell" : found.names ? "answered wrongly" : "by their loss";
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
      h("h3", {}, "Most confused"),
      pairs.map((/** @type {any} */ { i, j, count }) => h("button.item.pair", { onclick: () => this.context.set({ truth: found.classes[i], said: found.classes[j] }) }, h("span", {}, `${found.names[i]} called ${found.names[j]}`), h("span.mono", {}, count))));
  }

  numbers() {
    const { found } = this;
    return { columns: ["image", "truth", "answer", "p answer", "p truth", "loss"], rows: found.images.map((/** @type {any} */ one) => [one.title, one.truth ?? null, one.said ?? null, one.p_said ?? null, one.p_truth ?? null, one.loss]) };
  }
}
