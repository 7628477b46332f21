// The views, in the order of the rail.

import start from "./start.js";

/** @typedef {import("../types.js").View} View */

/** @type {View[]} */
export const VIEWS = [start];

/** @type {string[]} the groups of the rail */
export const GROUPS = ["See", "Ask", "Learn", "Compare"];
