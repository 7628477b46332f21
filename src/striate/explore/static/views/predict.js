// V12: drop, paste, choose or draw an image; what the network says of it, and how it was prepared.

import { paintImage } from "../colour.js";
import { fill, h, num, table } from "../dom.js";
import { packed, post } from "../net.js";

const TOP = 8;
const PAD = 224;

/** @type {import("../types.js").Mount} */
export const mount = async (main, context) => {
  const view = new Predict(context);
  view.build(main);
  await view.ask(context.image.id);
  return view;
};

class Predict {
  /** @param {import("../types.js").Context} context */
  constructor(context) {
    this.context = context;
    this.answer = h("section.answer", { "aria-live": "polite" });
    /** @type {any} */
    this.head = null;
  }

  /** @param {HTMLElement} main */
  build(main) {
    main.append(h("div.predict", {}, this.answer, this.pad()));
  }

  /** @param {string} image */
  async ask(image) {
    const { context } = this;
    const { head, arrays } = await packed("/api/predict", { model: context.model.id, image }, context.signal);
    this.head = head;
    const drawn = arrays.drawn ? picture(arrays.drawn, "What the network says, drawn", "canvas.map.drawn") : null;
    fill(this.answer, h("p.verdict", { "data-line": head.line }, best(head)), drawn, rows(head));
    fill(context.inspector,
      h("h2", {}, "How it got there"),
      head.steps.map((/** @type {any} */ step, /** @type {number} */ place) => h("div.step", {}, h("p.note", {}, `${place + 1}. ${step.text}`), arrays[step.name] ? picture(arrays[step.name], step.text, "canvas.map.small") : null)),
      h("dl.facts", {}, h("dt", {}, "time"), h("dd.mono", { "data-live": true }, `${num(head.time_ms, 3)} ms`), h("dt", {}, "temperature"), h("dd.mono", {}, num(context.model.temperature, 4))),
      h("p.note", {}, "The same as striate predict gives."));
  }

  /** A pad to draw on. */
  pad() {
    const canvas = h("canvas.pad", { width: PAD, height: PAD, tabindex: 0, "aria-label": "Drawing pad" });
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    let ink = "#ffffff";
    let isDown = false;
    const clear = () => {
      pen.fillStyle = ink === "#ffffff" ? "#000000" : "#ffffff";
      pen.fillRect(0, 0, PAD, PAD);
    };
    const at = (/** @type {PointerEvent} */ event) => [(event.offsetX * PAD) / canvas.clientWidth, (event.offsetY * PAD) / canvas.clientHeight];
    canvas.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      isDown = true;
      canvas.setPointerCapture(event.pointerId);
      pen.beginPath();
      pen.moveTo(...point(at(event)));
    });
    canvas.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (!isDown) return;
      Object.assign(pen, { strokeStyle: ink, lineWidth: 16, lineCap: "round", lineJoin: "round" });
      pen.lineTo(...point(at(event)));
      pen.stroke();
    });
    canvas.addEventListener("pointerup", () => {
      isDown = false;
      void this.context.busy(this.send(canvas));
    });
    clear();
    const turn = () => {
      ink = ink === "#ffffff" ? "#000000" : "#ffffff";
      clear();
    };
    return h("section.drawing", {}, h("h2", {}, "Draw"), canvas, h("div.row", {}, h("button", { onclick: clear }, "Clear"), h("button", { onclick: turn }, "Black or white"), h("button", { onclick: () => void this.context.busy(this.send(canvas)) }, "Predict the drawing")));
  }

  /** @param {HTMLCanvasElement} canvas */
  async send(canvas) {
    const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
    const entry = await post("/api/images", blob, { name: "drawing.png" }, this.context.signal);
    await this.ask(entry.id);
  }

  numbers() {
    const { columns, values } = listed(this.head);
    return { columns, rows: values };
  }

  code() {
    return ["from striate.predict import Predictor", "", `predictor = Predictor.load(${JSON.stringify(this.context.model.title)})  # the run's folder`, `print(predictor([${JSON.stringify(this.context.image.title)}])[0])`, ""].join("\n");
  }
}

/**
 * @param {number[]} place
 * @returns {[number, number]}
 */
function point([x, y]) {
  return [x, y];
}

/**
 * @param {any} planes
 * @param {string} name
 * @param {string} kind
 */
function picture(planes, name, kind) {
  const canvas = h(kind, { role: "img", "aria-label": name });
  paintImage(canvas, planes, planes.shape);
  return canvas;
}

/** @param {any} head */
function best({ prediction, line }) {
  const names = prediction.prediction;
  return names ? (names.length ? names.join(", ") : "none of the tags") : line;
}

/**
 * The answers, the most probable first.
 * @param {any} head
 * @returns {{ columns: string[], values: [string, number][], isShare: boolean }}
 */
function listed({ prediction, unit }) {
  const shares = prediction.probabilities || prediction.shares;
  /** @type {[string, number][]} */
  const values = Object.entries(shares || prediction.values || {}).map(([name, value]) => [name, value ?? NaN]);
  if (shares) values.sort((a, b) => b[1] - a[1]);
  const word = prediction.probabilities ? "probability" : shares ? "share of the pixels" : unit ? `value (${unit})` : "value";
  return { columns: ["answer", word], values, isShare: Boolean(shares) };
}

/** @param {any} head */
function rows(head) {
  const { columns, values, isShare } = listed(head);
  if (!isShare) return table([columns[0], `>${columns[1]}`], values.map(([name, value]) => [name, num(value)]));
  const lines = values.slice(0, TOP).map(([name, value]) => {
    const bar = h("span.bar-fill", {});
    bar.style.width = `${100 * (value || 0)}%`;
    return h("div.bar-row", { "data-answer": name, "data-value": value }, h("span.bar-name", { title: name }, name), h("span.bar-box", {}, bar), h("span.mono", {}, !Number.isFinite(value) ? num(value) : value > 0 && value < 0.00005 ? "< 0.0001" : value.toFixed(4)));
  });
  return h("div.bars", { "aria-label": columns[1] }, lines, values.length > TOP ? h("p.note", {}, `${TOP} of ${values.length}; CSV has all.`) : null);
}
