// Types only: what a view is, and what it gets. A view is a file in views/ that exports `mount`, and a row of views/index.js.

/**
 * @typedef {import("./store.js").State} State
 *
 * @typedef {object} Model        the document of /api/models/ID
 * @property {string} id
 * @property {string} title
 * @property {string} about
 * @property {{ name: string, names: string[], target: string, unit: string }} task
 * @property {{ size_hw: number[], channels: number, fit: string }} input
 * @property {number[]} mean
 * @property {number[]} std
 * @property {number} temperature
 * @property {number} parameters
 * @property {string} [problem]
 *
 * @typedef {{ id: string, title: string, group: string, image_id: string, is_copy?: boolean }} ImageEntry
 *
 * @typedef {object} Table        what "copy numbers" copies, as CSV or JSON
 * @property {string[]} columns
 * @property {(string | number | null)[][]} rows
 *
 * @typedef {object} Context      what a view gets
 * @property {() => State} state                the state now; all of it is text
 * @property {(patch: Record<string, string | number | null>, replace?: boolean) => void} set
 *           change the state; null removes a key; `replace` for what moves often (hover, arrows, sliders)
 * @property {Model} model                      only where the view needs "model"
 * @property {ImageEntry} image                 only where it needs "image"
 * @property {HTMLElement} inspector            the right column, empty at first
 * @property {AbortSignal} signal               aborted when the view, the model or the image changes: hand it to `net`
 * @property {(promise: Promise<any>) => Promise<any>} busy
 *           wraps work that begins in an event: the page is "ready" again when it has ended; its failure is shown
 * @property {() => Promise<void>} relist       read the list of networks again, after one was removed or came back
 * @property {(problem: any, retry?: () => void) => void} fail   show a problem above the view, with a button to retry
 *
 * @typedef {object} Mounted      what a view gives back; each part may be missing
 * @property {(state: State, before: State) => void | Promise<void>} [update]
 *           called when other state than view, model or image changed; nothing is built anew unless the view does it
 * @property {(event: KeyboardEvent) => boolean} [key]    whether the key meant something here
 * @property {() => Table} [numbers]
 * @property {() => string} [code]              PyTorch code that gives the numbers shown
 * @property {() => HTMLCanvasElement | SVGElement | null} [drawing]
 * @property {() => void} [leave]
 *
 * @typedef {object} View
 * @property {string} name                      in the URL: #view=NAME
 * @property {string} title
 * @property {"See" | "Ask" | "Learn" | "Compare"} group
 * @property {("model" | "image" | "run")[]} needs   "run": the network's row of the list, without loading it
 * @property {string} about                     one sentence: what it shows
 * @property {() => Promise<{ mount: Mount }>} load   reads its file
 *
 * @typedef {(main: HTMLElement, context: Context) => Mounted | void | Promise<Mounted | void>} Mount
 *           may be async; while it runs, the view says that it loads; what it throws is shown with a button to retry
 */

export {};
