// A map over an image: where it is high there is colour, the rest is the image in grey.

import { NONE, RAMPS, levelOf, paint } from "./colour.js";
import { h } from "./dom.js";

const FULL = 0.99; // share of the pixels below the full colour: one pixel alone would else darken all others

/** @typedef {{ ramp: string, low: number, high: number }} Scale */

/**
 * The scale of a map: its strongest percent has the full colour; with signs it is centred at 0.
 * @param {ArrayLike<number>} values
 * @param {boolean} isSigned
 * @returns {Scale}
 */
export function scaleOfMap(values, isSigned) {
  const sizes = Float64Array.from(values, (value) => (Number.isFinite(value) ? Math.abs(value) : 0)).sort();
  const place = FULL * (sizes.length - 1);
  const [below, part] = [Math.floor(place), place % 1];
  const mixed = sizes[below] + part * ((sizes[below + 1] ?? sizes[below]) - sizes[below]);
  const high = mixed || sizes[sizes.length - 1] || 1;
  return isSigned ? { ramp: "signed", low: -high, high } : { ramp: "viridis", low: 0, high };
}

/**
 * Paint a map (h, w) over what a network saw (c, h, w).
 * @param {HTMLCanvasElement} canvas
 * @param {any} levels of the image, 0 to 255, with its shape
 * @param {ArrayLike<number>} values
 * @param {Scale} scale
 * @param {number} strength 0: the image alone; 0.5: the map where it is strong; 1: the map alone
 */
export function paintOver(canvas, levels, values, scale, strength) {
  const [channels, height, width] = levels.shape;
  const size = height * width;
  const pixels = new ImageData(width, height);
  const colours = RAMPS[scale.ramp];
  const [seen, alone] = [Math.min(1, 2 * strength), Math.max(0, 2 * strength - 1)];
  const floor = scale.ramp === "signed" ? 0 : 0.3;
  for (let at = 0; at < size; at++) {
    const rgb = [0, 1, 2].map((part) => levels[(channels === 3 ? part : 0) * size + at]);
    const grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    const value = values[at];
    const isKnown = Number.isFinite(value);
    const share = Math.min(1, Math.abs(value) / scale.high);
    const weight = isKnown ? seen * (floor + (1 - floor) * share ** 0.75) : seen;
    const opacity = weight + alone * (1 - weight);
    const level = 3 * levelOf(value, scale.low, scale.high);
    for (let part = 0; part < 3; part++) {
      const base = rgb[part] + seen * (grey - rgb[part]);
      const colour = isKnown ? colours[level + part] : NONE[part];
      pixels.data[4 * at + part] = Math.round(base + opacity * (colour - base));
    }
    pixels.data[4 * at + 3] = 255;
  }
  canvas.width = width;
  canvas.height = height;
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
}

/**
 * A ramp of colours, for legends.
 * @param {string} name
 */
export function strip(name) {
  const canvas = h("canvas.ramp", { width: 256, height: 1, "aria-hidden": "true" });
  paint(canvas, Float32Array.from({ length: 256 }, (_, i) => i), 1, 256, { ramp: name, low: 0, high: 255 });
  return canvas;
}
