// One image with all of its regions, the current one outlined; arrows step through them, verdicts advance to the next.

import { className, offeredOf } from "../shared/classes.js";
import { fill, h, keycap, shape } from "../shared/dom.js";
import { number, wholeUrl } from "../shared/format.js";
import { keyFor } from "../shared/keys.js";
import { areaPath, outlinePath, placeText, swatch, tintUrl } from "../shared/regions.js";
import { badgeOf, noteLine } from "./card.js";
import { classRows } from "./inspector.js";
import { VIEWS } from "./overlay.js";
import { viewChoice } from "./region_inspector.js";
import { Zoom } from "./zoom.js";
/** @import { ClassId, Finding } from "../shared/types.d.ts" */
/** @import { Overlay } from "./overlay.js" */
/** @import { ZoomOptions } from "./zoom.js" */

/** @typedef {Record<number, number[]>} Shapes Runs of regions by finding. */

/**
 * Options of a zoom of regions: `siblings` resolves to the findings of an item's image, `shapes` to their runs.
 *
 * @typedef {ZoomOptions & {
 *   colours: string[] | null, overlay: Overlay, siblings: (item: Finding) => Promise<Finding[]>, shapes: (item: Finding) => Promise<Shapes>,
 *   on: { edit: (item: Finding) => void },
 * }} RegionZoomOptions
 */

const LARGE = 2048; // pixels

export class RegionZoom extends Zoom {
  // Of the image that is drawn.
  /** @type {HTMLElement | undefined} */ whole;
  /** @type {HTMLElement | undefined} */ outlines;
  /** @type {HTMLImageElement | null} */ tint = null;

  /** @param {RegionZoomOptions} options */
  constructor({ colours, overlay, siblings, shapes, ...options }) {
    super(options);
    this.edit = options.on.edit;
    this.colours = colours;
    this.overlay = overlay;
    this.siblings = siblings;
    this.shapes = shapes;
    /** @type {Finding[] | null} Regions of the image, null until they are known. */
    this.regions = null;
    /** @type {number | null} */
    this.sample = null;
    /** @type {number | null} Sample whose picture is drawn. */
    this.drawn = null;
    this.tours = false; // whether the queue advances after the image's last region
  }

  /** @param {Finding} item @param {{ follows: boolean }} options */
  show(item, { follows }) {
    const opening = !this.open;
    if (opening) this.tours = follows; // opened from the queue, which advances after this image's regions
    const another = opening || item.sample_id !== this.sample;
    if (another) {
      this.sample = item.sample_id;
      this.origin = item;
      this.regions = null; // no outline until they are known
      this.drawn = null;
    }
    super.show(item, { follows });
    if (another) this.#ask(item);
    else this.#mark();
  }

  /** Go to another region of this image; false if there is none. @param {number} by */
  within(by) {
    if (!this.regions || this.regions.length < 2) return false;
    const at = this.regions.findIndex(({ id }) => id === this.item?.id);
    this.on.open(this.regions[(at + by + this.regions.length) % this.regions.length]);
    return true;
  }

  /**
   * After a verdict: go to the next region of this image that still waits; where none does, let the queue go on.
   *
   * @param {(item: Finding) => boolean} waits
   */
  onward(waits) {
    /** @type {Finding[]} */
    const regions = this.regions ?? [];
    const at = regions.findIndex(({ id }) => id === this.item?.id);
    const next = [...regions.slice(at + 1), ...regions.slice(0, Math.max(0, at))].find(waits);
    if (next) this.on.open(next);
    else if (this.tours) this.follows = true;
    return Boolean(next);
  }

  /** The overlay has changed. */
  redraw() {
    const { item } = this;
    if (!this.open || !item) return;
    this.#tint(item);
    fill(this.side, this.words(item));
  }

  /** @param {Finding} item */
  picture(item) {
    let { whole } = this;
    if (this.drawn !== item.sample_id || !whole?.isConnected) {
      this.drawn = item.sample_id;
      this.tint = this.face.blind ? null : h("img", { class: "tint stretch", alt: "" }); // it is one of the two masks
      this.outlines = h("div", { class: "outlines" });
      whole = h("div", { class: "whole", style: { "--ratio": `${item.width} / ${item.height}` } },
        h("img", { class: "stretch", src: wholeUrl(this.api.base, item, LARGE), alt: `${this.face.name(item)}, as large as it fits` }), this.tint, this.outlines);
    }
    this.whole = whole;
    this.#tint(item);
    return whole;
  }

  /** @param {Finding} item */
  #tint(item) {
    if (this.tint) this.tint.src = tintUrl(this.api.base, item, this.overlay.single);
  }

  /** @param {Finding} item */
  words(item) {
    const look = this.face.badge(item, this.classes);
    /** @type {ClassId[]} */
    const digits = this.digits ?? [];
    const head = [
      h("p", { class: "path" }, placeText(item, this.regions, this.face.name(item))), this.face.tags(item, this.classes, this.colours), noteLine(this.face.note(item)),
      h("p", { class: "verdict" }, look ? h("span", { class: "badge" }, `${look[0]} ${look[1]}`) : h("span", { class: "dim" }, "no verdict yet")),
      !this.face.blind && [h("h2", {}, "Mask"), viewChoice(this.overlay, this.keys, VIEWS.slice(1))],
    ];
    if (item.confidence === null) return [...head, classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick }), h("div", { class: "zoom-verdicts" }, this.verdicts(item))];
    return [
      ...head,
      this.regions && this.regions.length > 1 && [h("h2", {}, "Regions of this image ", keycap("←"), " ", keycap("→")), h("div", { class: "region-list" }, this.regions.map((region) => this.#row(region)))],
      h("div", { class: "zoom-verdicts" }, this.verdicts(item), h("button", { type: "button", class: "ghost", onclick: () => this.edit(item) }, this.keys.cap("edit"), " edit mask")),
      h("h2", {}, "Another class is right"),
      h("div", { class: "class-keys" }, digits.map((id) => this.#class(item, id)), offeredOf(this.classes).length > digits.length && h("button", { type: "button", onclick: () => this.on.act("search") },
        h("span", {}), h("span", { class: "name" }, "search others"), this.keys.cap("search"))),
    ];
  }

  /** @param {Finding} item @param {ClassId} id */
  #class(item, id) {
    const name = className(this.classes, id);
    return h("button", { type: "button", title: name, onclick: () => this.on.pick(id) },
      swatch(this.colours, id), h("span", { class: "name" }, name), keycap(keyFor(id, item, this.digits)));
  }

  /** @param {Finding} region */
  #row(region) {
    const look = badgeOf(region, this.classes);
    const here = region.id === this.item?.id;
    return h("button", { type: "button", class: `region ${look?.[2] ?? ""}`, "aria-current": String(here), title: `${className(this.classes, region.given)} → ${className(this.classes, region.pseudo)}, ${number(region.region?.area ?? 0)} px${look ? `, ${look[1]}` : ""}`, onclick: () => this.on.open(region) },
      swatch(this.colours, region.given), h("i", { class: "arrow" }, "→"), swatch(this.colours, region.pseudo), h("span", { class: "name" }, className(this.classes, region.pseudo)),
      h("em", {}, look ? look[0] : String(Math.floor((region.confidence ?? 0) * 100))));
  }

  /** @param {Finding} item */
  async #ask(item) {
    const [regions, runs] = await Promise.all([this.siblings(item).catch(() => [item]), this.shapes(item).catch(() => /** @type {Shapes} */ ({}))]);
    if (this.sample !== item.sample_id || !this.open) return;
    this.regions = regions;
    const paths = regions.filter(({ id }) => runs[id]).map(({ id }) => shape("g", { "data-id": String(id) }, ...["halo", "line"].map((kind) => shape("path", { class: kind, d: outlinePath(runs[id]) })), shape("path", { class: "area", d: areaPath(runs[id]) })));
    const svg = shape("svg", { viewBox: `0 0 ${item.width} ${item.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...paths);
    svg.addEventListener("click", (event) => {
      const id = Number(/** @type {Element} */ (event.target).closest("g")?.dataset.id);
      const found = regions.find((region) => region.id === id);
      if (found) this.on.open(found);
    });
    if (this.outlines) fill(this.outlines, svg);
    fill(this.side, this.words(this.item ?? item));
    this.#mark();
  }

  /** Outline the current region strongly, the others weakly, the judged ones in their verdict's colour (a blind audit has one region and one colour). */
  #mark() {
    const byId = new Map((this.regions ?? []).map((region) => [region.id, region]));
    /** @type {SVGGElement | null} */
    let here = null;
    for (const group of this.outlines?.querySelectorAll("g") ?? []) {
      const region = byId.get(Number(group.dataset.id));
      const current = region !== undefined && region.id === this.item?.id;
      group.setAttribute("class", [region && this.face.badge(region, this.classes)?.[2], current ? "here" : ""].filter(Boolean).join(" "));
      if (current) here = group;
    }
    here?.parentNode?.append(here); // above the others
  }
}
