// Regions of masks: colours, addresses of their layers, crops with overlays, and SVG paths from their runs.
//
// Runs are flat: y, x, length, y, x, length, ... top to bottom, as the server sends them.

import { className, offeredOf } from "./classes.js";
import { h } from "./dom.js";
import { fitClass, imageUrl, layerUrl, number } from "./format.js";
/** @import { Classes, ClassId, Finding, Region, RoundInfo } from "./types.d.ts" */

/** Return whether a round's findings are regions of masks. @param {RoundInfo} info */
export const showsRegions = (info) => info.task === "segmentation";

/** Return the class of each digit key where classes are not ranked by likelihood: the n-th one. @param {Classes} classes */
export const digitsInOrder = (classes) => offeredOf(classes).slice(0, 20);

/** Return a small square in the class's colour. @param {string[] | null} colours @param {ClassId} id */
export function swatch(colours, id) {
  return h("i", { class: "sw", style: { "--class": colours?.[id] ?? "transparent" }, "aria-hidden": "true" });
}

/**
 * Return the address of a whole image in class colours; `which` is given, suggested or difference.
 *
 * @param {string} base
 * @param {Finding} item
 * @param {string} which
 */
export const tintUrl = (base, item, which) => `${base}/regions/${item.id}/${which}.png?v=${item.region?.version}`;

/**
 * Return the crop around a region with its fill and its contour stacked on it; the overlay's mode decides which are visible.
 *
 * @param {string} base
 * @param {Finding} item
 * @param {number} pixels
 * @param {{ alt?: string, outlineOnly?: boolean }} [options]
 */
export function layeredCrop(base, item, pixels, { alt = "", outlineOnly = false } = {}) {
  const fit = fitClass(item);
  const photo = h("img", { class: fit, src: imageUrl(base, item, pixels), alt, decoding: "async", draggable: false });
  const layers = h("span", { class: "layers" }, photo, marks(base, item, pixels, fit, { outlineOnly }));
  photo.addEventListener("error", () => layers.replaceWith(h("span", { class: "missing" }, "image cannot be shown")), { once: true });
  return layers;
}

/**
 * Return fill and contour of the crop, transparent elsewhere; a fill that is not shown is not loaded.
 *
 * @param {string} base
 * @param {Finding} item
 * @param {number} pixels
 * @param {string} [fit]
 * @param {{ outlineOnly?: boolean }} [options]
 */
function marks(base, item, pixels, fit = "contain", { outlineOnly = false } = {}) {
  return (outlineOnly ? ["contour"] : ["fill", "contour"]).map((layer) => h("img", {
    class: `layer ${layer} ${fit}`, ...(layer === "fill" ? { loading: "lazy" } : {}), src: layerUrl(base, item, layer, pixels), alt: "", decoding: "async", draggable: false,
  }));
}

/**
 * Return fill and contour laid over the whole image, where the crop was taken.
 *
 * @param {string} base
 * @param {Finding} item
 * @param {number} pixels
 * @param {{ outlineOnly?: boolean }} [options]
 */
export function placedMarks(base, item, pixels, options = {}) {
  const [x, y, width, height] = /** @type {Region} */ (item.region).crop;
  /** @param {number} part @param {number} of */
  const share = (part, of) => `${(100 * part) / of}%`;
  const place = { left: share(x, item.width), top: share(y, item.height), width: share(width, item.width), height: share(height, item.height) };
  return h("span", { class: "placed", style: place }, marks(base, item, pixels, "stretch", options));
}

/**
 * Return "given → suggested" as two labelled tags, of a region with their colours.
 *
 * @param {Finding} item
 * @param {Classes} classes
 * @param {string[] | null} [colours]
 */
export function pairTags(item, classes, colours = null) {
  /** @param {string} word @param {ClassId} id @param {string} kind */
  const tag = (word, id, kind) => h("div", {}, h("small", {}, word), h("span", { class: `t ${kind}` }, item.region && swatch(colours, id), className(classes, id)));
  return h("div", { class: "gv" }, tag("given", item.given, "g"), h("span", { class: "ar", "aria-hidden": "true" }, "→"), tag("suggested", item.pseudo, "p"));
}

/**
 * Return "0016E5.jpg · region 4 of 9 · 938 px"; `siblings` are the regions of the image, null while unknown.
 *
 * @param {Finding} item
 * @param {Finding[] | null | undefined} siblings
 */
export function placeText(item, siblings, name = item.name) {
  const index = siblings?.findIndex(({ id }) => id === item.id) ?? -1;
  const count = siblings?.length ?? 0;
  const words = [name.split("/").at(-1), index < 0 || count < 2 ? null : `region ${index + 1} of ${count}`, `${number(item.region?.area ?? 0)} px`];
  return words.filter(Boolean).join(" · ");
}

/** @typedef {[from: number, to: number]} Interval */

/** Return the runs as {y, from, to} with `to` behind the last pixel. @param {number[]} flat */
function readRuns(flat) {
  const runs = [];
  for (let at = 0; at + 2 < flat.length; at += 3) runs.push({ y: flat[at], from: flat[at + 1], to: flat[at + 1] + flat[at + 2] });
  return runs;
}

/** Return the area as closed rectangles, one a run. @param {number[]} flat */
export function areaPath(flat) {
  return readRuns(flat).map(({ y, from, to }) => `M${from} ${y}h${to - from}v1h${from - to}z`).join("");
}

/** Return the outline as straight strokes between pixels, neighbouring ones joined. @param {number[]} flat */
export function outlinePath(flat) {
  /** @type {Map<number, Interval[]>} */
  const rows = new Map();
  for (const { y, from, to } of readRuns(flat)) rows.set(y, [...(rows.get(y) ?? []), [from, to]]);
  /** @type {string[]} */
  const strokes = [];
  for (const [y, runs] of rows) {
    for (const [from, to] of subtractIntervals(runs, rows.get(y - 1))) strokes.push(`M${from} ${y}h${to - from}`);
    for (const [from, to] of subtractIntervals(runs, rows.get(y + 1))) strokes.push(`M${from} ${y + 1}h${to - from}`);
  }
  return strokes.join("") + sideStrokes(rows);
}

/** Return the parts of the sorted intervals that no other interval covers. @param {Interval[]} intervals @param {Interval[]} [others] */
function subtractIntervals(intervals, others = []) {
  /** @type {Interval[]} */
  const left = [];
  for (const [from, to] of intervals) {
    let at = from;
    for (const [start, end] of others) {
      if (end <= at || start >= to) continue;
      if (start > at) left.push([at, start]);
      at = Math.max(at, end);
    }
    if (at < to) left.push([at, to]);
  }
  return left;
}

/** @param {Map<number, Interval[]>} rows */
function sideStrokes(rows) {
  /** @type {Map<number, Interval>} */
  const open = new Map(); // x -> [first row, row behind the last]
  /** @type {string[]} */
  const strokes = [];
  /** @param {number} x @param {Interval} rows */
  const close = (x, [from, to]) => strokes.push(`M${x} ${from}v${to - from}`);
  for (const y of [...rows.keys()].sort((a, b) => a - b)) {
    for (const x of (rows.get(y) ?? []).flat()) {
      const stroke = open.get(x);
      if (stroke?.[1] === y) stroke[1] = y + 1;
      else {
        if (stroke) close(x, stroke);
        open.set(x, [y, y + 1]);
      }
    }
  }
  for (const [x, stroke] of open) close(x, stroke);
  return strokes.join("");
}
