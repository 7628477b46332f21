// @ts-check
/** The playground's panel of settings. */

import { hasWeights } from "./arithmetic.js";
import { h } from "./dom.js";
import { EXAMPLES, MOST, fresh } from "./playground_state.js";

/** @typedef {import("./arithmetic.js").Settings} Settings */
/** @typedef {import("./arithmetic.js").Kind} Kind */
/** @typedef {"size" | "kernel" | "stride" | "padding" | "dilation" | "outputPadding"} PairName */

/** @type {[Kind, string][]} */
const KINDS = [["conv", "Convolution"], ["transposed", "Transposed"], ["max", "Max pooling"], ["average", "Average pooling"]];
/** @type {[PairName, string, string][]} setting, title, letter in the formula */
const PAIRS = [["size", "Input", "i"], ["kernel", "Kernel", "k"], ["stride", "Stride", "s"], ["padding", "Padding", "p"], ["dilation", "Dilation", "d"], ["outputPadding", "Output padding", "a"]];
const LEAST = { size: 1, kernel: 1, stride: 1, padding: 0, dilation: 1, outputPadding: 0 };

/**
 * @param {{change: (settings: Settings) => void, restart: (settings: Partial<Settings>) => void}} actions
 */
export function controls({ change, restart }) {
  /** @type {Settings} */
  let settings;
  let isLinked = true;
  const kinds = KINDS.map(([kind, title]) => h("button", { type: "button", "data-kind": kind, onclick: () => change({ ...settings, kind }) }, title));
  const examples = h("select", { "aria-label": "Example", onchange: () => restart(EXAMPLES[Number(examples.value)].settings) }, h("option", { value: "", disabled: true }, "Examples"), EXAMPLES.map((one, at) => h("option", { value: at }, one.title)));
  const link = h("input", { type: "checkbox", checked: true, onchange: () => joined(link.checked) });
  const rows = PAIRS.map(([name, title, letter]) => pairRow(name, title, letter));
  const counts = [countField("channels", "Input channels"), countField("outputs", "Output channels"), countField("groups", "Groups")];
  const ceil = toggle("ceil", "Round the size up");
  const padding = toggle("countPadding", "Padding counts in the mean");
  const heads = h("div.pg-row.pg-heads", { "aria-hidden": "true" }, h("span"), h("span", {}, "height"), h("span", {}, "width"));
  const pairs = h("div.pg-pairs", {}, heads, rows.map((row) => row.element), h("label.pg-check", {}, link, "Same along both axes"));
  const head = h("div.controls", {}, h("div.segments.pg-kinds", { role: "group", "aria-label": "Layer" }, kinds), examples);
  const form = h(
    "form.pg-panel",
    { "aria-label": "Settings", onsubmit: (/** @type {Event} */ event) => event.preventDefault() },
    pairs,
    h("div.pg-counts", {}, counts.map((one) => one.element)),
    ceil.element,
    padding.element,
  );

  /**
   * @param {PairName} name
   * @param {string} title
   * @param {string} letter
   */
  function pairRow(name, title, letter) {
    const fields = ["height", "width"].map((axis, at) =>
      number(`${title}, ${axis}`, LEAST[name], MOST[name], (value) => {
        const pair = /** @type {[number, number]} */ ([...settings[name]]);
        pair[at] = value;
        if (isLinked) pair[1 - at] = value;
        change({ ...settings, [name]: pair });
      }),
    );
    const row = h("div.pg-row", {}, h("span.pg-label", {}, title, h("i", {}, letter)), fields.map((one) => one.element));
    return { element: row, name, fields };
  }

  /**
   * @param {"channels" | "outputs" | "groups"} name
   * @param {string} title
   */
  function countField(name, title) {
    const field = number(title, 1, MOST[name], (value) => change({ ...settings, [name]: value }));
    return { name, field, element: h("div.pg-row", {}, h("span.pg-label", {}, title), field.element) };
  }

  /**
   * @param {"ceil" | "countPadding"} name
   * @param {string} title
   */
  function toggle(name, title) {
    const box = h("input", { type: "checkbox", onchange: () => change({ ...settings, [name]: box.checked }) });
    return { name, box, element: h("label.pg-check", {}, box, title) };
  }

  /** @param {boolean} value */
  function joined(value) {
    isLinked = value;
    pairs.classList.toggle("is-joined", value);
    if (!value) return;
    const equal = Object.fromEntries(PAIRS.map(([name]) => [name, [settings[name][0], settings[name][0]]]));
    change({ ...settings, ...equal });
  }

  /**
   * @param {Settings} next
   * @param {{field: string} | null} problem
   */
  function show(next, problem) {
    settings = next;
    if (PAIRS.some(([name]) => settings[name][0] !== settings[name][1])) isLinked = false;
    link.checked = isLinked;
    pairs.classList.toggle("is-joined", isLinked);
    for (const button of kinds) button.setAttribute("aria-pressed", `${button.dataset.kind === settings.kind}`);
    for (const { element: row, name, fields } of rows) {
      row.hidden = (name === "outputPadding" && settings.kind !== "transposed") || (name === "dilation" && settings.kind === "average" && `${settings.dilation}` === "1,1");
      row.classList.toggle("is-wrong", problem?.field === name);
      fields.forEach((field, at) => field.show(settings[name][at], problem?.field === name));
    }
    for (const { name, field, element: row } of counts) {
      row.hidden = !hasWeights(settings.kind) && name !== "channels";
      row.classList.toggle("is-wrong", problem?.field === name);
      field.show(settings[name], problem?.field === name);
    }
    ceil.element.hidden = hasWeights(settings.kind);
    padding.element.hidden = settings.kind !== "average";
    ceil.box.checked = settings.ceil;
    padding.box.checked = settings.countPadding;
    const example = EXAMPLES.findIndex((one) => JSON.stringify(fresh(one.settings).settings) === JSON.stringify(settings));
    examples.value = example < 0 ? "" : `${example}`;
  }

  return { head, form, show };
}

/**
 * A whole number with buttons at both sides.
 * @param {string} title
 * @param {number} least
 * @param {number} most
 * @param {(value: number) => void} set
 */
function number(title, least, most, set) {
  const input = h("input", { type: "number", min: least, max: most, "aria-label": title, onchange: () => give(Number(input.value)) });
  const give = (/** @type {number} */ value) => set(Math.min(most, Math.max(least, Math.round(value) || least)));
  const button = (/** @type {string} */ sign, /** @type {number} */ step) => h("span.pg-nudge", { "aria-hidden": "true", onclick: () => give(Number(input.value) + step) }, sign);
  const element = h("span.pg-number-field", {}, button("−", -1), input, button("+", 1));
  return {
    element,
    show(/** @type {number} */ value, /** @type {boolean} */ isWrong) {
      if (input.value !== `${value}`) input.value = `${value}`;
      input.setAttribute("aria-invalid", `${isWrong}`);
    },
  };
}
