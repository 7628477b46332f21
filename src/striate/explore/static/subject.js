// What is asked about: what the network answers to the image, and which of its answers is explained.

import { h, num } from "./dom.js";
import { packed } from "./net.js";

/**
 * @typedef {object} Answer
 * @property {string[]} choices                 what can be explained
 * @property {string} usual                     what is explained where nothing is chosen
 * @property {string} answer                    in a line
 * @property {{ name: string, probability: number }[]} ranked    the most probable, the first one first
 * @property {any} levels                       (c, h, w) what the network saw, 0 to 255
 */

/** @typedef {import("./types.js").Context} Context */

/**
 * @param {Context} context
 * @returns {Promise<Answer>}
 */
export async function readAnswer(context) {
  const { head, arrays } = await packed("/api/answer", { model: context.model.id, image: context.image.id }, context.signal);
  return { ...head, levels: arrays.levels };
}

/**
 * What the state chooses to explain, null where it is no choice of this network.
 * @param {Context} context
 * @param {Answer} answer
 */
export function targetOf(context, answer) {
  const { target } = context.state();
  if (!target) return answer.usual;
  return answer.choices.includes(target) ? target : null;
}

/**
 * A field to choose what is explained.
 * @param {Context} context
 * @param {Answer} answer
 * @param {string} [text]
 */
export function picker(context, answer, text = "Explain") {
  const now = targetOf(context, answer);
  const choose = (/** @type {any} */ event) => context.set({ target: event.target.value === answer.usual ? null : event.target.value });
  const options = answer.choices.map((name) => h("option", { value: name, selected: name === now }, name === answer.usual ? `${name} (answered)` : name));
  if (now === null) options.unshift(h("option", { value: "", selected: true, disabled: true }, "choose"));
  return h("label.field", {}, text, h("select", { "aria-label": text, onchange: choose }, options));
}

/**
 * Go to the choice before or after.
 * @param {Context} context
 * @param {Answer} answer
 * @param {number} by
 */
export function step(context, answer, by) {
  const at = answer.choices.indexOf(targetOf(context, answer) ?? answer.usual);
  const name = answer.choices[Math.min(answer.choices.length - 1, Math.max(0, at + by))];
  context.set({ target: name === answer.usual ? null : name }, true);
}

/**
 * A page that says that the link's choice is none of this network's.
 * @param {Context} context
 */
export function unknown(context) {
  const again = () => context.set({ target: null });
  return h("div.empty", { role: "alert" }, h("p", {}, `This network does not answer with “${context.state().target}”.`), h("button", { onclick: again }, "Explain what it answers"));
}

/**
 * The most probable answers as bars; a click explains one.
 * @param {Context} context
 * @param {Answer} answer
 * @param {{ name: string, probability: number }[]} [ranked] other ones than for the image itself
 */
export function bars(context, answer, ranked = answer.ranked) {
  const now = targetOf(context, answer);
  const row = (/** @type {{ name: string, probability: number }} */ one) => {
    const bar = h("span.bar-fill", {});
    bar.style.width = `${100 * one.probability}%`;
    const parts = [h("span.bar-name", {}, one.name), h("span.bar-box", {}, bar), h("span.mono", {}, num(one.probability, 4))];
    const isChoice = answer.choices.includes(one.name);
    const explain = () => context.set({ target: one.name === answer.usual ? null : one.name });
    return h(`button.bar-row${one.name === now ? ".chosen" : ""}`, { title: one.name, "data-answer": one.name, disabled: !isChoice, onclick: explain }, parts);
  };
  return h("div.bars", {}, ranked.map(row));
}

/**
 * A field with a slider; `say` words its value.
 * @param {string} name
 * @param {{ min: number, max: number, step?: number }} range
 * @param {number} value
 * @param {(value: number) => string} say
 * @param {(value: number) => void} onInput
 */
export function slider(name, range, value, say, onInput) {
  const text = h("span.slider-value.mono", {}, say(value));
  const move = () => {
    text.textContent = say(Number(input.value));
    input.setAttribute("aria-valuetext", say(Number(input.value)));
    onInput(Number(input.value));
  };
  const input = h("input", { type: "range", ...range, value, "aria-label": name, "aria-valuetext": say(value), oninput: move });
  return h("label.field.slider", {}, name, input, text);
}
