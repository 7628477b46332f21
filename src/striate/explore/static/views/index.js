// The views, in the order of the rail.

import architecture from "./architecture.js";
import attack from "./attack.js";
import errors from "./errors.js";
import filters from "./filters.js";
import flow from "./flow.js";
import occlusion from "./occlusion.js";
import playground from "./playground.js";
import predict from "./predict.js";
import probe from "./probe.js";
import runs from "./runs.js";
import start from "./start.js";
import why from "./why.js";

/** @typedef {import("../types.js").View} View */

/** @type {View[]} */
export const VIEWS = [
  flow,
  probe,
  filters,
  predict,
  why,
  occlusion,
  attack,
  playground,
  architecture,
  runs,
  errors,
  start,
];

/** @type {string[]} the groups of the rail */
export const GROUPS = ["See", "Ask", "Learn", "Compare"];
