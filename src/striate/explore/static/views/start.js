// Where there is nothing to look at yet: what the page is, and what it can do.

import { h } from "../dom.js";
import { VIEWS } from "./index.js";

/** @type {import("../types.js").Mount} */
export const mount = (main, context) => {
  const cards = VIEWS.filter((view) => view.name !== "start").map((view) =>
    h(
      "button.card",
      { onclick: () => context.set({ view: view.name }) },
      h("strong", {}, view.title),
      h("span", {}, view.about),
    ),
  );
  main.append(h("p.lead", {}, "Every number of a network, from the image to the answer, on your own machine."), h("div.cards", {}, cards));
};
