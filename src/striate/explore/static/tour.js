// Help, and a tour of six steps that opens on first use.

import { fill, h } from "./dom.js";

const KEY = "striate.tour";

const STEPS = [
  ["", "Every number, in the open", "This page shows what a network does to one image: every map, every weight, every sum. It runs on your machine and asks no other."],
  [".rail", "Views and networks", "Views on top, networks below. What you see is in the address: copy it, and it opens the same way again."],
  [".images", "The image", "Choose one, open your own, or drop it anywhere on the page."],
  ["main", "Follow it through", "Each column is one operation, in the order in which the network does it. Click a map to open it."],
  ["main", "Ask a number where it comes from", "Click a cell of a map: the box on the image is all that it can see, and the sum behind it stands beside it, term by term."],
  [".tools", "Take it with you", "Copy the link, the numbers, or PyTorch code that gives the same. Press ? for the keys."],
];

export function offerTour() {
  if (!localStorage.getItem(KEY) && !navigator.webdriver) openTour();
}

export function openTour() {
  localStorage.setItem(KEY, "seen");
  let step = 0;
  const body = h("div.tour-body", {});
  const dialog = h("dialog.tour", { "aria-label": "Tour" }, body);
  const close = () => dialog.close();
  const show = () => {
    const [place, title, text] = STEPS[step];
    for (const one of document.querySelectorAll(".toured")) one.classList.remove("toured");
    if (place) document.querySelector(place)?.classList.add("toured");
    fill(
      body,
      h("p.count", {}, `${step + 1} of ${STEPS.length}`),
      h("h2", {}, title),
      h("p", {}, text),
      h(
        "div.row",
        {},
        h("button.quiet", { onclick: close }, "Skip"),
        step ? h("button", { onclick: () => move(-1) }, "Back") : null,
        h("button.primary", { autofocus: true, onclick: () => (step < STEPS.length - 1 ? move(1) : close()) }, step < STEPS.length - 1 ? "Next" : "Done"),
      ),
    );
    /** @type {HTMLElement | null} */ (body.querySelector(".primary"))?.focus();
  };
  const move = (/** @type {number} */ by) => {
    step += by;
    show();
  };
  dialog.addEventListener("close", () => {
    for (const one of document.querySelectorAll(".toured")) one.classList.remove("toured");
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
  show();
}

const KEYS = [
  ["← → ↑ ↓", "move the cell, pixel or slider"],
  ["[  ]", "operation (or class) before, after"],
  [",  .", "channel before, after"],
  ["?", "this help"],
  ["Esc", "close"],
];

export function openHelp() {
  if (document.querySelector("dialog")) return;
  const rows = KEYS.map(([key, text]) => h("tr", {}, h("td", {}, h("kbd", {}, key)), h("td", {}, text)));
  const dialog = h(
    "dialog",
    { "aria-label": "Help" },
    h("h2", {}, "Keys"),
    h("table", {}, h("tbody", {}, rows)),
    h("p", {}, "Colours: viridis from the smallest to the largest value; blue, white, red where values have signs, white at 0; grey where there is no number."),
    h("div.row", {}, h("button.primary", { onclick: () => dialog.close() }, "Close")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
