// The frame of the page: reads the lists, shows the view that the URL names, and says when all of it is there.

import { fill, h } from "./dom.js";
import { json, NetError, post } from "./net.js";
import { buildFrame } from "./frame.js";
import { createStore } from "./store.js";
import { offerTour, openHelp } from "./tour.js";
import { toolbar } from "./tools.js";
import { VIEWS } from "./views/index.js";

/** @typedef {import("./types.js").State} State */
/** @typedef {import("./types.js").Mounted} Mounted */

const root = document.documentElement;
let pending = 0;

/** @type {{ title: string, is_study: boolean, playground: boolean, models: any[] }} */
let lists = { title: "", is_study: false, playground: false, models: [] };
/** @type {import("./types.js").ImageEntry[]} */
let images = [];
let imagesOf = "";
/** @type {Map<string, any>} */
const models = new Map();

/** @type {Mounted} */
let mounted = {};
let shown = "";
let stop = new AbortController();

const store = createStore((state, before) => void show(state, before));
const frame = buildFrame({ set: store.set, state: store.get, upload, retry: () => void remount() });
const tools = toolbar(() => mounted);
frame.tools.append(tools);

/**
 * Count work; the page is ready when none is left and it has been painted.
 * @param {Promise<any>} promise
 */
async function busy(promise) {
  pending += 1;
  root.dataset.ready = "no";
  try {
    return await promise;
  } catch (problem) {
    fail(problem, () => void remount());
  } finally {
    pending -= 1;
    if (!pending) requestAnimationFrame(() => (root.dataset.ready = pending ? "no" : "yes"));
  }
}

/**
 * Show a problem above the view, with a button to try again.
 * @param {any} problem
 * @param {() => void} [retry]
 */
function fail(problem, retry) {
  if (problem && problem.name === "AbortError") return;
  if (!(problem && "fix" in problem)) console.warn(problem);
  const again = () => {
    fill(frame.notice);
    retry?.();
  };
  fill(
    frame.notice,
    h(
      "div.notice",
      { role: "alert" },
      h("div", {}, h("strong", {}, problem?.message || "something went wrong"), problem?.fix ? h("span", {}, problem.fix) : null),
      retry ? h("button", { onclick: again }, "Try again") : null,
    ),
  );
}

/** @param {State} state */
function viewOf(state) {
  const first = lists.playground ? "playground" : lists.models.length ? "flow" : "start";
  return VIEWS.find((view) => view.name === state.view) || VIEWS.find((view) => view.name === first) || VIEWS[0];
}

/**
 * The state with what it leaves open: the first network.
 * @param {State} state
 * @returns {State}
 */
function completed(state) {
  const model = lists.models.some((one) => one.id === state.model) ? state.model : lists.models[0]?.id || "";
  return { ...state, view: viewOf(state).name, model };
}

/**
 * @param {State} state
 * @param {State} before
 */
async function show(state, before) {
  const now = completed(state);
  const key = [now.view, viewOf(now).needs.length ? now.model : "", viewOf(now).needs.includes("image") ? now.image : ""].join(" ");
  frame.mark(now, lists, images);
  if (key !== shown) return busy(mount(now, key));
  await busy(Promise.resolve(mounted.update?.(state, before)));
}

async function remount() {
  shown = "";
  fill(frame.notice);
  if (!lists.models.length) return start();
  const now = completed(store.get());
  return busy(mount(now, ""));
}

const COPY = "This image is the small JPEG that the run keeps: the dataset's own file is not here, so the answer can differ a little from the run's tables.";

/**
 * @param {State} state
 * @param {string} key
 */
async function mount(state, key) {
  stop.abort();
  stop = new AbortController();
  const signal = stop.signal;
  const view = viewOf(state);
  mounted.leave?.();
  mounted = {};
  shown = key;
  fill(frame.notice);
  fill(frame.inspector);
  frame.open(view);
  const wait = setTimeout(() => fill(frame.main, h("div.loading", { role: "status" }, "Loading…")), 120);
  const place = h("div.view", { "data-view": view.name });
  try {
    const [{ mount: build }, needed] = await Promise.all([fileOf(view), inputs(view, state, signal)]);
    const context = { ...needed, inspector: frame.inspector, signal, busy, fail, relist };
    if (signal.aborted) return;
    mounted = (await build(place, { ...context, state: store.get, set: store.set })) || {};
    if (signal.aborted) return mounted.leave?.();
    clearTimeout(wait);
    fill(frame.main, place, context.image?.is_copy ? h("p.note", { "data-copy-note": "" }, COPY) : null);
    await mounted.update?.(store.get(), store.get());
  } catch (problem) {
    if (signal.aborted) return;
    shown = "";
    fill(frame.main, h("div.empty", {}, h("p", {}, `${view.title} could not be shown.`)));
    fail(problem, () => (problem instanceof FileError ? reload() : void remount()));
  } finally {
    clearTimeout(wait);
    tools.refresh();
  }
}

/** A view's file that did not come: the browser does not ask for it again before the page is loaded anew. */
class FileError extends NetError {}

/** @param {import("./types.js").View} view */
function fileOf(view) {
  return view.load().catch(() => {
    throw new FileError("the server does not answer", "see whether striate explore still runs, then try again", 0);
  });
}

function reload() {
  root.dataset.ready = "no";
  location.reload();
}

/**
 * What a view needs: the network and the image of the state, the first ones where it names none.
 * @param {import("./types.js").View} view
 * @param {State} state
 * @param {AbortSignal} signal
 * @returns {Promise<any>}
 */
async function inputs(view, state, signal) {
  if (!view.needs.length) return { model: null, image: null };
  if (!state.model) throw Object.assign(new Error("there is no network to look at"), { fix: "start striate explore with a run, a study or a network" });
  if (view.needs.includes("run")) return { model: lists.models.find((one) => one.id === state.model), image: null };
  const isSeeing = view.needs.includes("image");
  const [model] = await Promise.all([readModel(state.model, signal), isSeeing && readImages(state.model, signal)]);
  if (!isSeeing) return { model, image: null };
  if (state.image && !images.some((one) => one.id === state.image)) {
    imagesOf = ""; // one that was dropped on another window
    await readImages(state.model, signal);
  }
  const image = images.find((one) => one.id === state.image) || (state.image ? null : images[0]);
  frame.mark({ ...state, image: image?.id || "" }, lists, images);
  if (!image) throw Object.assign(new Error("the image of this link is not here"), { fix: "choose another one above, or drop it on the page again" });
  return { model, image };
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 */
async function readModel(id, signal) {
  if (!models.has(id)) models.set(id, await json(`/api/models/${id}`, {}, signal));
  return models.get(id);
}

/**
 * @param {string} model
 * @param {AbortSignal} [signal]
 */
async function readImages(model, signal) {
  if (imagesOf === model) return;
  images = (await json("/api/images", { model }, signal)).images;
  imagesOf = model;
}

/**
 * Send an image file to the server, then show it.
 * @param {Blob} file
 * @param {string} name
 */
function upload(file, name) {
  return busy(
    (async () => {
      const entry = await post("/api/images", file, { name });
      imagesOf = "";
      await readImages(completed(store.get()).model);
      store.set({ image: entry.id });
    })(),
  );
}

addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest("input, textarea, select, dialog")) return;
  if (event.key === "?") openHelp();
  else if (!mounted.key?.(event)) return;
  event.preventDefault();
});

async function relist() {
  lists = await json("/api/models");
  frame.list(lists);
  frame.mark(completed(store.get()), lists, images);
}

async function start() {
  document.body.append(frame.element);
  if (store.get().view) void viewOf(store.get()).load().catch(() => {}); // while the lists come
  lists = await json("/api/models");
  document.title = lists.title ? `${lists.title} · striate` : "striate explore";
  frame.list(lists);
  await show(store.get(), {});
  offerTour();
}

void busy(start());
