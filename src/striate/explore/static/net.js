// All talk with the server: JSON, arrays behind a JSON head, and long work that reports as it goes.

/** @typedef {{ head: any, arrays: Record<string, any> }} Packed */

const KINDS = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };

/** A request that failed, in words for people. */
export class NetError extends Error {
  /**
   * @param {string} what
   * @param {string} fix
   * @param {number} status 0 where the server did not answer
   */
  constructor(what, fix, status) {
    super(what);
    this.fix = fix;
    this.status = status;
  }
}

/**
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} query
 */
export function address(path, query = {}) {
  const known = Object.entries(query).filter(([, value]) => value !== null && value !== undefined);
  const text = new URLSearchParams(known.map(([key, value]) => [key, String(value)])).toString();
  return text ? `${path}?${text}` : path;
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 */
async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "omit", ...options });
  } catch (problem) {
    if (/** @type {Error} */ (problem).name === "AbortError") throw problem;
    throw new NetError("the server does not answer", "see whether striate explore still runs, then try again", 0);
  }
  if (response.ok) return response;
  const said = await response.json().catch(() => ({}));
  const { what, fix } = said.error || {};
  throw new NetError(what || `the server said ${response.status}`, fix || "try again", response.status);
}

/**
 * @param {string} path
 * @param {Record<string, any>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function json(path, query = {}, signal) {
  return (await ask(address(path, query), { signal })).json();
}

/**
 * Arrays by name, with the head's other values.
 * @param {string} path
 * @param {Record<string, any>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<Packed>}
 */
export async function packed(path, query = {}, signal) {
  return unpack(await (await ask(address(path, query), { signal })).arrayBuffer());
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {Packed}
 */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  /** @type {Record<string, any>} */
  const arrays = {};
  for (const { name, dtype, shape, offset } of head.arrays) {
    const count = shape.reduce((/** @type {number} */ all, /** @type {number} */ side) => all * side, 1);
    arrays[name] = new KINDS[/** @type {keyof typeof KINDS} */ (dtype)](buffer, 4 + length + offset, count);
    arrays[name].shape = shape;
  }
  return { head, arrays };
}

/**
 * @param {string} path
 * @param {BodyInit} body
 * @param {Record<string, any>} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function post(path, body, query = {}, signal) {
  return (await ask(address(path, query), { method: "POST", body, signal })).json();
}

/**
 * Long work: calls `onLine` with each report, returns the result. Abort the signal to cancel the work on the server.
 * @param {string} path
 * @param {Record<string, any>} query
 * @param {(line: any) => void} onLine
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export async function stream(path, query, onLine, signal) {
  const response = await ask(address(path, query), { signal });
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ? decoder.decode(value, { stream: true }) : "";
    const lines = rest.split("\n");
    rest = lines.pop() || "";
    for (const text of lines) {
      const line = JSON.parse(text);
      if (line.error) throw new NetError(line.error.what, line.error.fix, 422);
      if ("result" in line) return line.result;
      onLine(line);
    }
    if (done) throw new NetError("the answer was cut short", "try again", 0);
  }
}
