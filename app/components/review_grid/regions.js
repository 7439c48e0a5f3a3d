// Regions of masks as cards and pictures: addresses of their layers, their colours, a crop with its overlay.

import { className } from "./card.js";
import { h } from "./dom.js";
import { fitClass, imageUrl, layerUrl, number } from "./format.js";

/** Whether a round's findings are regions of masks. */
export const showsRegions = (info) => info.task === "segmentation";

/** Return the class each digit key stands for where classes are not ranked by likelihood: the n-th one. */
export const digitsInOrder = (classes) => [...classes.keys()].slice(0, 20);

/** Return a small square in the class's colour. */
export function swatch(colours, id) {
  return h("i", { class: "sw", style: { "--class": colours?.[id] ?? "transparent" }, "aria-hidden": "true" });
}

/** Return the address of a whole image in class colours; `which` is given, suggested or difference. */
export const tintUrl = (base, item, which) => `${base}/regions/${item.id}/${which}.png?v=${item.region.version}`;

/** Return the crop around a region with its fill and its contour stacked on it; the overlay's mode decides which show. */
export function layeredCrop(base, item, pixels, { aspect = 4 / 3, alt = "", outlineOnly = false } = {}) {
  const fit = fitClass(item, aspect);
  const photo = h("img", { class: fit, src: imageUrl(base, item, pixels), alt, decoding: "async", draggable: false });
  const layers = h("span", { class: "layers" }, photo, marks(base, item, pixels, fit, { outlineOnly }));
  photo.addEventListener("error", () => layers.replaceWith(h("span", { class: "missing" }, "image cannot be shown")), { once: true });
  return layers;
}

/** Return fill and contour of the crop, transparent elsewhere; a fill that is not shown is not loaded. */
export function marks(base, item, pixels, fit = "contain", { outlineOnly = false } = {}) {
  return (outlineOnly ? ["contour"] : ["fill", "contour"]).map((layer) => h("img", {
    class: `layer ${layer} ${fit}`, ...(layer === "fill" ? { loading: "lazy" } : {}), src: layerUrl(base, item, layer, pixels), alt: "", decoding: "async", draggable: false,
  }));
}

/** Return fill and contour laid over the whole image, where the crop was taken. */
export function placedMarks(base, item, pixels, options = {}) {
  const [x, y, width, height] = item.region.crop;
  const share = (part, of) => `${(100 * part) / of}%`;
  const place = { left: share(x, item.width), top: share(y, item.height), width: share(width, item.width), height: share(height, item.height) };
  return h("span", { class: "placed", style: place }, marks(base, item, pixels, "stretch", options));
}

/** Return "given → suggested" as two labelled tags with their colours. */
export function colouredTags(item, classes, colours) {
  const tag = (word, id, kind) => h("div", {}, h("small", {}, word), h("span", { class: `t ${kind}` }, swatch(colours, id), className(classes, id)));
  return h("div", { class: "gv" }, tag("given", item.given, "g"), h("span", { class: "ar", "aria-hidden": "true" }, "→"), tag("suggested", item.pseudo, "p"));
}

/** Return "0016E5.jpg · region 4 of 9 · 938 px"; `siblings` are the regions of the image, null while unknown. */
export function placeText(item, siblings, name = item.name) {
  const index = siblings?.findIndex(({ id }) => id === item.id) ?? -1;
  const words = [name.split("/").at(-1), index < 0 || siblings.length < 2 ? null : `region ${index + 1} of ${siblings.length}`, `${number(item.region.area)} px`];
  return words.filter(Boolean).join(" · ");
}
