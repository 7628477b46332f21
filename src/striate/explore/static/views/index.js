// The views, in the order of the rail: what each is called and needs; its file is read when it is shown first.

/** @typedef {import("../types.js").View} View */

/** @type {View[]} */
export const VIEWS = [
  {
    name: "flow", title: "Flow", group: "See", needs: ["model", "image"], load: () => import("./flow.js"),
    about: "Every operation in the order in which it runs, with the maps it makes of this image.",
  },
  {
    name: "probe", title: "Pixel probe", group: "See", needs: ["model", "image"], load: () => import("./probe.js"),
    about: "Point at any number: what it sees of the image, and the sum behind it, term by term.",
  },
  {
    name: "filters", title: "Filters", group: "See", needs: ["model"], load: () => import("./filters.js"),
    about: "What each convolution looks for: its kernels as images, their lengths, which are alike, and what training changed.",
  },
  {
    name: "predict", title: "Predict", group: "Ask", needs: ["model", "image"], load: () => import("./predict.js"),
    about: "Drop, paste, choose or draw an image: what the network says of it.",
  },
  {
    name: "why", title: "Why", group: "Ask", needs: ["model", "image"], load: () => import("./why.js"),
    about: "Which pixels an answer hangs on, by four methods side by side, and whether that has to do with what was learnt.",
  },
  {
    name: "occlusion", title: "Occlusion", group: "Ask", needs: ["model", "image"], load: () => import("./occlusion.js"),
    about: "How the score falls when a patch covers the image: where it falls most, the answer hangs on what is covered.",
  },
  {
    name: "attack", title: "Attack", group: "Ask", needs: ["model", "image"], load: () => import("./attack.js"),
    about: "Move each number of the image by at most epsilon, along the sign of the gradient (FGSM): how soon does the answer change?",
  },
  {
    name: "playground", title: "Playground", group: "Learn", needs: [], load: () => import("./playground.js"),
    about: "Every parameter of a convolution or pooling, with its numbers: who feeds whom, how large the output is, and why.",
  },
  {
    name: "architecture", title: "Architecture", group: "See", needs: ["model"], load: () => import("./architecture.js"),
    about: "Each row of the network: its output, its cost, and what one of its units sees of the image.",
  },
  {
    name: "runs", title: "Runs", group: "Compare", needs: [], load: () => import("./runs.js"),
    about: "All runs in a table; tick some to draw their curves over each other.",
  },
  {
    name: "errors", title: "Errors", group: "Compare", needs: ["run"], load: () => import("./errors.js"),
    about: "Which classes are taken for which; click a cell for its images, the worst first.",
  },
  {
    name: "dataset", title: "Dataset", group: "Compare", needs: ["run"], load: () => import("./dataset.js"),
    about: "What the run was trained on: its classes and images, and what augmentation made of one in any epoch.",
  },
  {
    name: "start", title: "Overview", group: "See", needs: [], load: () => import("./start.js"),
    about: "What this page can show.",
  },
];

/** @type {string[]} the groups of the rail */
export const GROUPS = ["See", "Ask", "Learn", "Compare"];
