// The rail on the left, the images above, the view, and the inspector on the right.

import { fill, h, icon } from "./dom.js";
import { openHelp, openTour } from "./tour.js";
import { GROUPS, VIEWS } from "./views/index.js";

const MENU = "M2.5 4h11M2.5 8h11M2.5 12h11";
const HELP = "M6 6a2 2 0 1 1 2.6 1.9c-.4.1-.6.5-.6.9v.5M8 11.8v.1";
const MOON = "M13 9.5A5.5 5.5 0 1 1 6.5 3 4.5 4.5 0 0 0 13 9.5Z";
const PLUS = "M8 3v10M3 8h10";
const MAX_THUMBNAILS = 60;

/** @typedef {import("./types.js").State} State */

/**
 * @param {{ set: Function, state: () => State, upload: (file: Blob, name: string) => Promise<any>, retry: () => void }} app
 */
export function buildFrame(app) {
  const rail = h("nav.rail", { "aria-label": "Views and networks" });
  const title = h("h1", {}, "");
  const about = h("p.about", {}, "");
  const tools = h("div.tools", {});
  const strip = h("div.strip", { role: "listbox", "aria-label": "Images" });
  const notice = h("div.notices", { "aria-live": "polite" });
  const main = h("main", { id: "main", tabindex: "-1" });
  const inspector = h("aside.inspector", { "aria-label": "Numbers" });
  const file = h("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Image file" });
  file.addEventListener("change", () => file.files[0] && app.upload(file.files[0], file.files[0].name));
  const add = h("button.thumb.add", { title: "Open an image (or drop it on the page)", "aria-label": "Open an image", onclick: () => file.click() }, icon(PLUS));
  const images = h("div.images", {}, add, file, strip);
  const element = h(
    "div.page",
    {},
    h("a.skip", { href: "#main", onclick: (/** @type {Event} */ e) => { e.preventDefault(); main.focus(); } }, "To the view"),
    h("header.bar", {}, brand(rail), images, buttons()),
    rail,
    h("section.centre", {}, h("div.head", {}, h("div", {}, title, about), tools), notice, main),
    inspector,
  );
  acceptDrops(element, app.upload);
  return {
    element, tools, notice, main, inspector,
    /** @param {any} lists */
    list(lists) {
      fill(rail, groups(app.set, lists.playground), networks(app.set, lists));
    },
    /** @param {import("./types.js").View} view */
    open(view) {
      title.textContent = view.title;
      about.textContent = view.about;
      element.dataset.view = view.name;
      images.hidden = !view.needs.includes("image");
      inspector.hidden = false;
      rail.classList.remove("open");
    },
    /**
     * Mark in the lists what the state names.
     * @param {State} state
     * @param {any} lists
     * @param {import("./types.js").ImageEntry[]} all
     */
    mark(state, lists, all) {
      for (const link of rail.querySelectorAll("[data-key]")) {
        const isHere = link.dataset.value === state[link.dataset.key];
        if (isHere) link.setAttribute("aria-current", "true");
        else link.removeAttribute("aria-current");
      }
      showStrip(strip, all, state.image || all[0]?.id || "", app.set);
    },
  };
}

/** @param {HTMLElement} rail */
function brand(rail) {
  const menu = h("button.icon-button.menu", { "aria-label": "Views", onclick: () => rail.classList.toggle("open") }, icon(MENU));
  return h("div.brand", {}, menu, h("img", { src: "/static/icon.svg", alt: "", width: 22, height: 22 }), h("span", {}, "striate"));
}

function buttons() {
  return h(
    "div.buttons",
    {},
    h("button.icon-button", { "aria-label": "Light or dark", title: "Light or dark", onclick: toggleTheme }, icon(MOON)),
    h("button.icon-button", { "aria-label": "Help", title: "Help (?)", onclick: openHelp }, icon(HELP)),
    h("button.quiet", { onclick: openTour }, "Tour"),
  );
}

const THEME = "striate.theme";

function toggleTheme() {
  const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme || (isDark ? "dark" : "light");
  document.documentElement.dataset.theme = now === "dark" ? "light" : "dark";
  localStorage.setItem(THEME, document.documentElement.dataset.theme);
}

const kept = localStorage.getItem(THEME);
if (kept) document.documentElement.dataset.theme = kept;

/**
 * @param {Function} set
 * @param {boolean} isPlayground
 */
function groups(set, isPlayground) {
  const known = VIEWS.filter((view) => !isPlayground || view.name === "playground");
  return GROUPS.map((group) => {
    const views = known.filter((view) => view.group === group);
    return views.length > 0 && h("div.group", {}, h("h2", {}, group), views.map((view) => link("view", view.name, view.title, "", set)));
  });
}

/**
 * @param {Function} set
 * @param {any} lists
 */
function networks(set, lists) {
  if (!lists.models.length) return null;
  const rows = lists.models.map((/** @type {any} */ one) =>
    link("model", one.id, one.title, one.problem || [one.network, one.dataset].filter(Boolean).join(" on ") || one.about, set),
  );
  return h("div.group.networks", {}, h("h2", {}, lists.is_study ? `Runs (${rows.length})` : "Network"), rows);
}

/**
 * @param {string} key
 * @param {string} value
 * @param {string} text
 * @param {string} small
 * @param {Function} set
 */
function link(key, value, text, small, set) {
  const choose = () => set({ [key]: value });
  return h("button.item", { "data-key": key, "data-value": value, onclick: choose, title: text }, h("span", {}, text), small ? h("small", {}, small) : null);
}

/**
 * @param {HTMLElement} strip
 * @param {import("./types.js").ImageEntry[]} all
 * @param {string} chosen
 * @param {Function} set
 */
function showStrip(strip, all, chosen, set) {
  const ids = all.slice(0, MAX_THUMBNAILS).map((one) => one.id);
  if (chosen && !ids.includes(chosen) && all.some((one) => one.id === chosen)) ids.unshift(chosen);
  const key = ids.join(" ");
  if (strip.dataset.key !== key) {
    strip.dataset.key = key;
    const byId = new Map(all.map((one) => [one.id, one]));
    fill(strip, ids.map((id) => thumbnail(/** @type {any} */ (byId.get(id)), set)));
  }
  for (const one of strip.querySelectorAll("button")) one.setAttribute("aria-selected", String(one.dataset.image === chosen));
}

/**
 * @param {import("./types.js").ImageEntry} entry
 * @param {Function} set
 */
function thumbnail(entry, set) {
  const name = `${entry.title} (${entry.group})`;
  const image = h("img", { src: `/api/images/${entry.id}/thumbnail`, alt: "", loading: "lazy", width: 40, height: 40 });
  return h("button.thumb", { role: "option", "data-image": entry.id, title: name, "aria-label": name, onclick: () => set({ image: entry.id }) }, image);
}

/**
 * @param {HTMLElement} element
 * @param {(file: Blob, name: string) => Promise<any>} upload
 */
function acceptDrops(element, upload) {
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("dropping");
  });
  element.addEventListener("dragleave", () => element.classList.remove("dropping"));
  const take = (/** @type {DataTransfer | null} */ data) => {
    const file = data && [...data.files].find((one) => one.type.startsWith("image/") || !one.type);
    if (file) void upload(file, file.name);
  };
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("dropping");
    take(event.dataTransfer);
  });
  addEventListener("paste", (event) => take(event.clipboardData));
}
