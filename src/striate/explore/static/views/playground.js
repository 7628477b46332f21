// @ts-check
/** The convolution-arithmetic playground: every parameter, editable numbers, both directions of who feeds whom. */

import { check, hasWeights, outputShape, weightIndex, flat } from "../arithmetic.js";
import { code, costs, formula, remarks, symbols } from "../arithmetic_text.js";
import { fill, h, icon, num, svg } from "../dom.js";
import { controls } from "../playground_controls.js";
import { explain } from "../playground_explain.js";
import { Stage, keyOf, valuesOf } from "../playground_stage.js";
import { fresh, fromText, numbersOf, toText, walk } from "../playground_state.js";

/** @typedef {import("../playground_state.js").State} State */
/** @typedef {import("../playground_state.js").Spot} Spot */
const STEP_MS = 650;
const ICONS = { first: "M12 3 6 8l6 5M4 3v10", back: "M10 3 5 8l5 5", play: "M5 3l8 5-8 5z", pause: "M5 3v10M11 3v10", next: "M6 3l5 5-5 5", all: "M4 3l6 5-6 5M12 3v10" };

/**
 * @param {HTMLElement} main
 * @param {import("../types.js").Context} context
 * @returns {import("../types.js").Mounted}
 */
export function mount(main, context) {
  /** @type {State} */
  let state = fresh();
  /** @type {Spot | null} */
  let hovered = null;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  let timer;
  let lastGood = "";

  const save = (/** @type {Partial<State>} */ patch, replace = false) => context.set({ layer: toText({ ...state, ...patch }) }, replace);
  const panel = controls({ change: (settings) => save({ settings, at: null, step: null }, true), restart: (settings) => save(fresh(settings)) });
  const drawing = svg("svg.pg-drawing", { role: "application", tabindex: 0, "aria-roledescription": "grids of numbers", "aria-describedby": "pg-keys" });
  const stage = new Stage(drawing);
  const editor = h("input.pg-editor", { type: "text", inputmode: "decimal", hidden: true, "aria-label": "number of the cell" });
  const board = h("div.pg-board", {}, drawing, editor);
  const message = h("div.pg-message", { role: "alert", hidden: true });
  const words = h("div.pg-words", { "aria-live": "polite" });
  const facts = h("div.pg-facts");
  const bar = transport();
  const tabs = h("div.pg-channels");
  const keys = h("p.note", { id: "pg-keys" }, "Point at any cell, on either side. Click one twice, or type, to change its number. ", [["Arrows", "move"], ["Space", "plays"], ["I K O", "go to input, kernel, output"]].flatMap(([key, what]) => [h("kbd", {}, key), ` ${what}  `]));
  fill(main, panel.head, tabs, message, board, bar.element, words, facts, keys);
  fill(context.inspector, panel.form);
  const watcher = new ResizeObserver(() => draw());
  watcher.observe(board);

  /** What is looked at: the hovered cell, else the step, else the chosen cell, else the first output. */
  function spotNow() {
    if (hovered) return hovered;
    if (state.step !== null) return walk(state)[state.step];
    return state.at ?? /** @type {Spot} */ ({ side: "output", place: [state.channel, 0, 0] });
  }

  /** Cells whose number is not there yet, by key. */
  function later() {
    if (state.step === null) return new Set();
    const steps = walk(state);
    if (steps[0].side === "output") return new Set(steps.slice(state.step + 1).map(keyOf));
    const there = new Set(steps.slice(0, state.step + 1).flatMap((spot) => stage.reached(state, spot)));
    return new Set([...stage.cells.keys()].filter((key) => key.startsWith("output.") && !there.has(key)));
  }

  function draw() {
    const problem = check(state.settings);
    panel.show(state.settings, problem);
    message.hidden = !problem;
    board.hidden = bar.element.hidden = words.hidden = facts.hidden = Boolean(problem);
    tabs.hidden = true;
    if (problem) return refuse(problem.text);
    lastGood = toText(state);
    const isDrawn = stage.draw(state, board.clientWidth);
    drawing.setAttribute("aria-label", `${code(state.settings)}: input ${state.settings.size.join(" by ")}, output ${outputShape(state.settings).slice(1).join(" by ")}`);
    board.hidden = bar.element.hidden = words.hidden = !isDrawn;
    if (!isDrawn) {
      message.hidden = false;
      fill(message, h("p", {}, "Too many cells to read. The sizes and formulas below still hold; for the numbers give a smaller input, stride or dilation."));
    }
    channels();
    summary();
    if (isDrawn) point();
  }

  function point() {
    const spot = spotNow();
    const told = explain(state, spot);
    stage.point(state, spot, later(), told.strong);
    fill(words, told.element);
    bar.show();
  }

  /** @param {string} text */
  function refuse(text) {
    const back = lastGood && lastGood !== toText(state) ? h("button", { type: "button", onclick: () => context.set({ layer: lastGood }) }, "Back to the last settings that work") : null;
    fill(message, h("p", {}, text), back);
  }

  function channels() {
    const [count] = outputShape(state.settings);
    tabs.hidden = count < 2;
    fill(tabs, h("span", {}, "Output channel"), Array.from({ length: count }, (_, at) => h("button", { type: "button", "aria-pressed": `${at === state.channel}`, onclick: () => save({ channel: at, at: null, step: null }) }, `${at}`)));
  }

  function summary() {
    const s = state.settings;
    const { parameters, macs } = costs(s);
    const lines = /** @type {const} */ ([0, 1]).map((axis) => h("div", {}, h("dt", {}, axis ? "Width" : "Height"), h("dd", {}, formula(s, axis))));
    fill(
      facts,
      h("dl.pg-formula", {}, h("div", {}, h("dt", {}, "Output size"), h("dd.pg-symbols", {}, symbols(s))), lines),
      remarks(s).map((text) => h("p.pg-remark", {}, text)),
      hasWeights(s.kind) ? h("p.pg-costs", {}, `${num(parameters)} parameters with the bias, ${num(macs)} multiply-adds`) : h("p.pg-costs", {}, "Pooling learns nothing: 0 parameters"),
      h("pre.pg-code", {}, h("code", {}, code(s))),
    );
  }

  /** The buttons that slide the window. */
  function transport() {
    const button = (/** @type {keyof typeof ICONS} */ name, /** @type {string} */ title, /** @type {() => void} */ act) => h("button", { type: "button", title, "aria-label": title, onclick: act }, icon(ICONS[name]));
    const slider = h("input", { type: "range", min: 0, "aria-label": "position of the window", oninput: () => go(Number(slider.value)) });
    const label = h("output.pg-count");
    const play = button("play", "Play", () => toggle());
    const element = h("div.pg-transport", {}, button("first", "First position", () => go(0)), button("back", "One back", () => go((state.step ?? 0) - 1)), play, button("next", "One on", () => go(state.step === null ? 0 : state.step + 1)), slider, label, button("all", "Show all numbers", () => finish()));
    return {
      element,
      show() {
        const steps = walk(state).length;
        slider.max = `${steps - 1}`;
        slider.value = `${state.step ?? steps - 1}`;
        slider.setAttribute("aria-valuetext", state.step === null ? `all ${steps}` : `${state.step + 1} of ${steps}`);
        label.textContent = state.step === null ? `all ${steps}` : `${state.step + 1} of ${steps}`;
        fill(play, icon(timer ? ICONS.pause : ICONS.play));
        play.setAttribute("aria-label", timer ? "Pause" : "Play");
        play.title = timer ? "Pause" : "Play";
      },
    };
  }

  /** @param {number} step */
  function go(step) {
    const steps = walk(state).length;
    save({ step: Math.min(Math.max(step, 0), steps - 1), at: null }, true);
  }

  function finish() {
    stop();
    save({ step: null, at: state.step === null ? state.at : walk(state)[state.step] }, true);
  }

  function toggle() {
    if (timer) return stop(), bar.show();
    const last = walk(state).length - 1;
    if (state.step === null || state.step === last) go(0);
    timer = setInterval(() => {
      if (state.step === null || state.step >= walk(state).length - 1) return stop(), bar.show();
      return go(state.step + 1);
    }, STEP_MS);
    return bar.show();
  }

  function stop() {
    clearInterval(timer);
    timer = undefined;
  }

  /** @param {Spot} spot @returns {boolean} */
  const isEditable = (spot) => {
    const node = stage.cells.get(keyOf(spot));
    return spot.side !== "output" && Boolean(node?.classList.contains("pg-inside"));
  };

  /**
   * Puts an input over a cell.
   * @param {Spot} spot
   * @param {string} [typed] what replaces the number
   */
  function edit(spot, typed) {
    const place = stage.placeOf(spot);
    if (!isEditable(spot) || !place) return;
    const { numbers, index } = numberAt(spot);
    Object.assign(editor.style, { left: `${place.x}px`, top: `${place.y}px`, width: `${place.width}px`, height: `${place.height}px` });
    editor.value = typed ?? `${numbers[index]}`;
    editor.hidden = false;
    editor.focus();
    if (typed === undefined) editor.select();
    editor.onchange = editor.onblur = null;
    editor.onblur = () => commit(spot);
    editor.onkeydown = (/** @type {KeyboardEvent} */ event) => {
      event.stopPropagation();
      if (event.key === "Escape") editor.onblur = null;
      if (["Escape", "Enter", "Tab"].includes(event.key)) {
        event.preventDefault();
        editor.hidden = true;
        drawing.focus();
        if (event.key === "Tab") move(spot, 0, event.shiftKey ? -1 : 1);
      }
    };
  }

  /** @param {Spot} spot */
  function commit(spot) {
    editor.onblur = null;
    editor.hidden = true;
    const value = Number(editor.value.trim().replace("−", "-").replace(",", "."));
    if (editor.value.trim() === "" || !Number.isFinite(value) || Math.abs(value) > 1e6) return;
    const { name, numbers, index } = numberAt(spot);
    if (numbers[index] === value) return;
    save({ [name]: numbers.map((/** @type {number} */ old, /** @type {number} */ at) => (at === index ? value : old)) }, true);
  }

  /**
   * The list that a cell's number stands in.
   * @param {Spot} spot
   * @returns {{name: "input" | "weights", numbers: number[], index: number}}
   */
  function numberAt({ side, place }) {
    const all = numbersOf(state);
    if (side === "input") return { name: "input", numbers: all.input, index: flat(place, state.settings.size) };
    return { name: "weights", numbers: all.weights, index: weightIndex(state.settings, place[0], state.channel, [place[1], place[2]]) };
  }

  /**
   * Chooses a neighbour, where there is one.
   * @param {Spot} spot
   * @param {number} down
   * @param {number} right
   */
  function move(spot, down, right) {
    const next = /** @type {Spot} */ ({ side: spot.side, place: [spot.place[0], spot.place[1] + down, spot.place[2] + right] });
    if (stage.cells.get(keyOf(next))?.classList.contains("pg-inside")) choose(next);
  }

  /** @param {Spot} spot */
  function choose(spot) {
    stop();
    hovered = null;
    save({ at: spot, step: null }, true);
  }

  /** @param {"input" | "output" | "kernel"} side */
  function jump(side) {
    const grid = stage.layout?.grids.find((one) => one.side === side);
    if (grid) choose({ side, place: [grid.channel, 0, 0] });
  }

  /** @type {Record<string, (spot: Spot) => void>} */
  const KEYS = {
    ArrowUp: (spot) => move(spot, -1, 0),
    ArrowDown: (spot) => move(spot, 1, 0),
    ArrowLeft: (spot) => move(spot, 0, -1),
    ArrowRight: (spot) => move(spot, 0, 1),
    Enter: (spot) => edit(spot),
    " ": () => toggle(),
    i: () => jump("input"),
    k: () => jump("kernel"),
    o: () => jump("output"),
    Home: () => go(0),
    End: () => finish(),
  };

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    const spot = spotNow();
    if (/^[-\d.]$/.test(event.key) && isEditable(spot)) edit(spot, event.key);
    else if (event.key in KEYS) KEYS[event.key](spot);
    else return false;
    return true;
  }

  /** The output's numbers as a table. */
  function numbers() {
    const [channels, height, width] = outputShape(state.settings);
    const made = valuesOf(state).output;
    const places = Array.from({ length: channels * height * width }, (_, at) => /** @type {import("../arithmetic.js").Place} */ ([Math.floor(at / (height * width)), Math.floor(at / width) % height, at % width]));
    return { columns: ["channel", "y", "x", "output"], rows: places.map((place) => [...place, made(place)]) };
  }

  drawing.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => event.pointerType !== "touch" && hover(stage.spotOf(event.target)));
  drawing.addEventListener("pointerleave", () => hover(null));
  drawing.addEventListener("click", (/** @type {MouseEvent} */ event) => {
    const spot = stage.spotOf(event.target);
    if (!spot) return;
    const isAgain = state.at !== null && keyOf(spot) === keyOf(state.at);
    choose(spot);
    if (isAgain) edit(spot);
  });

  /** @param {Spot | null} spot */
  function hover(spot) {
    if (timer || (spot ? keyOf(spot) : "") === (hovered ? keyOf(hovered) : "")) return;
    hovered = spot;
    point();
  }

  /** @param {Record<string, string>} params */
  function render(params) {
    const next = fromText(params.layer ?? "conv");
    const isSame = toText({ ...next, at: null, step: null }) === toText({ ...state, at: null, step: null }) && stage.layout !== null;
    state = next;
    if (isSame) point();
    else {
      hovered = null;
      draw();
    }
  }

  return {
    update: render,
    key: (event) => (event.target === document.body || event.target === drawing) && onKey(event),
    numbers,
    code: () => `import torch\n\nlayer = ${code(state.settings)}`,
    drawing: () => drawing,
    leave: () => (stop(), watcher.disconnect()),
  };
}
