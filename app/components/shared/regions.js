// Regions of masks: colours, addresses of their layers, crops with overlays.

import { className, offeredOf } from "./classes.js";
import { h } from "./dom.js";
import { fitClass, imageUrl, layerUrl, number } from "./format.js";
/** @import { ClassId, Classes, Finding, Region, RoundInfo } from "./types.d.ts" */

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
export function marks(base, item, pixels, fit = "contain", { outlineOnly = false } = {}) {
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
 * Return "given → suggested" as two labelled tags with their colours.
 *
 * @param {Finding} item
 * @param {Classes} classes
 * @param {string[] | null} colours
 */
export function colouredTags(item, classes, colours) {
  /** @param {string} word @param {ClassId} id @param {string} kind */
  const tag = (word, id, kind) => h("div", {}, h("small", {}, word), h("span", { class: `t ${kind}` }, swatch(colours, id), className(classes, id)));
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
