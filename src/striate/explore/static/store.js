// State -> hash -> render. The hash of the URL holds all state, so that every link shows what its sender saw.

/** @typedef {Record<string, string>} State */

/**
 * @param {string} hash
 * @returns {State}
 */
export function read(hash) {
  return Object.fromEntries(new URLSearchParams(hash.replace(/^#/, "")));
}

/**
 * @param {State} state
 * @returns {string}
 */
export function write(state) {
  const keys = Object.keys(state).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return "#" + keys.map((key) => `${encodeURIComponent(key)}=${encodeURIComponent(state[key])}`).join("&");
}

const FIRST = ["view", "model", "image", "op", "channel", "y", "x"];

/** @param {string} key */
function rank(key) {
  const place = FIRST.indexOf(key);
  return place < 0 ? FIRST.length : place;
}

/**
 * A store whose state lives in the URL; `render` is called with it after every change.
 * @param {(state: State, before: State) => void} render
 */
export function createStore(render) {
  let state = read(location.hash);
  const apply = (/** @type {State} */ next) => {
    const before = state;
    state = next;
    render(state, before);
  };
  addEventListener("hashchange", () => apply(read(location.hash)));
  return {
    get: () => state,
    /**
     * Change some keys; null removes one. `replace` leaves no entry in the browser's history (hover, arrows, sliders).
     * @param {Record<string, string | number | null>} patch
     * @param {boolean} [replace]
     */
    set(patch, replace = false) {
      const next = { ...state };
      for (const [key, value] of Object.entries(patch)) {
        if (value === null) delete next[key];
        else next[key] = String(value);
      }
      if (write(next) === write(state)) return;
      history[replace ? "replaceState" : "pushState"](null, "", write(next));
      apply(next);
    },
  };
}
