// Right side for regions: the whole image under the given and the suggested mask.

import { className } from "../shared/classes.js";
import { fill, h } from "../shared/dom.js";
import { wholeUrl } from "../shared/format.js";
import { placedMarks, placeText, tintUrl } from "../shared/regions.js";
import { noteLine } from "./card.js";
import { classRows, Inspector } from "./inspector.js";
import { VIEWS } from "./overlay.js";
/** @import { Child, Finding } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { InspectorOptions } from "./inspector.js" */
/** @import { Overlay } from "./overlay.js" */

/**
 * Options of an inspector of regions: `overlay` is drawn over the image, `siblings` resolves to the regions of an item's image.
 *
 * @typedef {InspectorOptions & {
 *   colours: string[] | null, overlay: Overlay, keys: Keys, siblings: (item: Finding) => Promise<Finding[]>, on: { edit: (item: Finding) => void },
 * }} RegionInspectorOptions
 */

const LARGE = 420; // pixels of the page
const BOTH = ["given", "suggested"];

/** Return buttons that choose the mask shown, with the key that turns it. @param {Overlay} overlay @param {Keys} keys @param {string[]} views */
export function viewChoice(overlay, keys, views) {
  const now = views.includes(overlay.view) ? overlay.view : overlay.single;
  return h("div", { class: "views" },
    h("div", { class: "segments", role: "group", "aria-label": "Which mask is shown" }, views.map((view) =>
      h("button", { type: "button", "aria-pressed": String(view === now), onclick: () => overlay.look(view) }, view))),
    keys.cap("view"));
}

export class RegionInspector extends Inspector {
  /** @param {RegionInspectorOptions} options */
  constructor({ colours, overlay, keys, siblings, ...options }) {
    super(options);
    this.edit = options.on.edit;
    this.colours = colours;
    this.overlay = overlay;
    this.keys = keys;
    this.siblings = siblings;
    this.element.classList.add("of-region");
    this.views = h("div", {});
    this.image.before(this.views);
    /** @type {Map<number, Finding[]>} */
    this.known = new Map(); // finding -> the regions of its image, of the image looked at last
  }

  /** The overlay has changed: show the masks it asks for now. */
  redraw() {
    if (this.item) this.drawImage(this.item);
  }

  /** @param {Finding} item */
  drawImage(item) {
    const pixels = LARGE * (globalThis.devicePixelRatio ?? 1);
    if (this.face.blind) {
      fill(this.image, this.#whole(item, [this.#photo(item, pixels, "the whole image"), placedMarks(this.api.base, item, pixels, { outlineOnly: true })]));
      return;
    }
    const views = this.overlay.view === "both" ? BOTH : [this.overlay.view];
    fill(this.views, viewChoice(this.overlay, this.keys, VIEWS));
    fill(this.image, views.map((view) => this.#whole(item, [
      this.#photo(item, pixels, view),
      h("img", { class: "tint stretch", src: tintUrl(this.api.base, item, view), alt: "" }),
      placedMarks(this.api.base, item, pixels),
      h("span", { class: "caption" }, view)])));
  }

  /** @param {Finding} item @param {Child[]} layers */
  #whole(item, layers) {
    return h("span", { class: "whole", style: { aspectRatio: `${item.width} / ${item.height}` } }, layers);
  }

  /** @param {Finding} item @param {number} pixels @param {string} view */
  #photo(item, pixels, view) {
    return h("img", { class: "stretch", src: wholeUrl(this.api.base, item, pixels), alt: `${this.face.name(item)}, ${view}` });
  }

  /** @param {Finding} item */
  words(item) {
    const look = this.face.badge(item, this.classes);
    const audited = item.confidence === null;
    return [
      h("p", { class: "path", title: this.face.name(item) }, placeText(item, this.known.get(item.id), this.face.name(item))),
      this.face.tags(item, this.classes, this.colours),
      noteLine(this.face.note(item)),
      look && h("p", { class: `verdict ${look[2]}` }, h("span", { class: "badge" }, `${look[0]} ${look[1]}`), item.by && ` by ${item.by}`),
      audited && classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick }),
      !audited && h("p", { class: "promise" }, h("b", {}, "Accept paints this region only. "), "Every other pixel stays unchanged."),
      !audited && h("button", { type: "button", class: "primary edit-mask", title: `Edit the mask of ${item.name}, ${className(this.classes, item.given)} here`, onclick: () => this.edit(item) },
        "Edit mask ", this.keys.cap("edit")),
    ];
  }

  /** @param {Finding} next */
  ahead(next) {
    const pixels = LARGE * (globalThis.devicePixelRatio ?? 1);
    const urls = [wholeUrl(this.api.base, next, pixels), ...(this.face.blind ? [] : BOTH.map((view) => tintUrl(this.api.base, next, view)))];
    return urls.map((src) => Object.assign(new Image(), { src }));
  }

  /** @param {Finding} item */
  async rested(item) {
    const [siblings] = await Promise.all([this.siblings(item).catch(() => null), super.rested(item)]);
    if (!siblings) return;
    this.known = new Map(siblings.map((sibling) => [sibling.id, siblings]));
    const line = this.body.querySelector(".path");
    if (this.item?.id === item.id && line) line.textContent = placeText(item, siblings, this.face.name(item));
  }
}
