// One image with all of its regions, the current one outlined; arrows step through them, verdicts go on to the next.

import { badgeOf, className } from "./card.js";
import { fill, h, keycap } from "./dom.js";
import { number, wholeUrl } from "./format.js";
import { classRows } from "./inspector.js";
import { keyFor, shown } from "./keys.js";
import { areaPath, outlinePath } from "./outline.js";
import { VIEWS } from "./overlay.js";
import { viewChoice } from "./region_inspector.js";
import { placeText, swatch, tintUrl } from "./regions.js";
import { Zoom } from "./zoom.js";

const SVG = "http://www.w3.org/2000/svg";
const LARGE = 2048; // pixels

/** Return an SVG element with attributes. */
function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export class RegionZoom extends Zoom {
  /** As a zoom; `siblings(item)` resolves to the findings of its image, `shapes(item)` to {id: runs}; `on` also holds open(item) and edit(item). */
  constructor({ colours, overlay, siblings, shapes, ...rest }) {
    super(rest);
    Object.assign(this, { colours, overlay, siblings, shapes, regions: null });
  }

  show(item, { follows }) {
    const opening = !this.open;
    if (opening) this.tours = follows; // opened from the queue: after this image's regions the queue goes on
    const another = opening || item.sample_id !== this.sample;
    if (another) Object.assign(this, { sample: item.sample_id, regions: null, origin: item, drawn: null }); // no outline of regions not known yet
    super.show(item, { follows });
    if (another) this.#ask(item);
    else this.#mark();
  }

  /** Go to another region of this image; false where there is none. */
  within(by) {
    if (!this.regions || this.regions.length < 2) return false;
    const at = this.regions.findIndex(({ id }) => id === this.item.id);
    this.on.open(this.regions[(at + by + this.regions.length) % this.regions.length]);
    return true;
  }

  /** After a verdict: go to the next region of this image that still waits; where none does, let the queue go on. */
  onward(waits) {
    const regions = this.regions ?? [];
    const at = regions.findIndex(({ id }) => id === this.item.id);
    const next = [...regions.slice(at + 1), ...regions.slice(0, Math.max(0, at))].find(waits);
    if (next) this.on.open(next);
    else if (this.tours) this.follows = true;
    return Boolean(next);
  }

  /** The overlay has changed. */
  redraw() {
    if (!this.open) return;
    this.#tint(this.item);
    fill(this.side, this.words(this.item));
  }

  picture(item) {
    if (this.drawn !== item.sample_id || !this.whole?.isConnected) {
      this.drawn = item.sample_id;
      this.tint = this.face.blind ? null : h("img", { class: "tint stretch", alt: "" }); // it is one of the two masks
      this.outlines = h("div", { class: "outlines" });
      this.whole = h("div", { class: "whole", style: { "--ratio": `${item.width} / ${item.height}` } },
        h("img", { class: "stretch", src: wholeUrl(this.api.base, item, LARGE), alt: `${this.face.name(item)}, as large as it fits` }), this.tint, this.outlines);
    }
    this.#tint(item);
    return this.whole;
  }

  #tint(item) {
    if (this.tint) this.tint.src = tintUrl(this.api.base, item, this.overlay.single);
  }

  words(item) {
    const look = this.face.badge(item, this.classes);
    const [edit] = this.keys.combos("edit");
    const head = [
      h("p", { class: "path" }, placeText(item, this.regions, this.face.name(item))), this.face.tags(item, this.classes, this.colours),
      h("p", { class: "verdict" }, look ? h("span", { class: "badge" }, `${look[0]} ${look[1]}`) : h("span", { class: "dim" }, "no verdict yet")),
      !this.face.blind && [h("h2", {}, "Mask"), viewChoice(this.overlay, this.keys, VIEWS.slice(1))],
    ];
    if (item.confidence === null) return [...head, classRows(item, { classes: this.classes, digits: this.digits, onpick: this.on.pick }), h("div", { class: "zoom-verdicts" }, this.verdicts())];
    return [
      ...head,
      this.regions?.length > 1 && [h("h2", {}, "Regions of this image ", keycap("←"), " ", keycap("→")), h("div", { class: "region-list" }, this.regions.map((one) => this.#row(one)))],
      h("div", { class: "zoom-verdicts" }, this.verdicts(), h("button", { type: "button", class: "ghost", onclick: () => this.on.edit(item) }, edit && keycap(shown(edit)), " edit mask")),
      h("h2", {}, "Another class is right"),
      h("div", { class: "class-keys" }, this.digits.map((id) => this.#class(id)), this.classes.length > this.digits.length && h("button", { type: "button", onclick: () => this.on.act("search") },
        h("span", {}), h("span", { class: "name" }, "search others"), keycap(shown(this.keys.combos("search")[0] ?? "")))),
    ];
  }

  #class(id) {
    const name = className(this.classes, id);
    return h("button", { type: "button", title: name, onclick: () => this.on.pick(id) },
      swatch(this.colours, id), h("span", { class: "name" }, name), keycap(keyFor(id, this.item, this.digits)));
  }

  #row(one) {
    const look = badgeOf(one, this.classes);
    const here = one.id === this.item.id;
    return h("button", { type: "button", class: `region ${look?.[2] ?? ""}`, "aria-current": String(here), title: `${className(this.classes, one.given)} → ${className(this.classes, one.pseudo)}, ${number(one.region.area)} px${look ? `, ${look[1]}` : ""}`, onclick: () => this.on.open(one) },
      swatch(this.colours, one.given), h("i", { class: "arrow" }, "→"), swatch(this.colours, one.pseudo), h("span", { class: "name" }, className(this.classes, one.pseudo)),
      h("em", {}, look ? look[0] : String(Math.floor(one.confidence * 100))));
  }

  async #ask(item) {
    const [regions, runs] = await Promise.all([this.siblings(item).catch(() => [item]), this.shapes(item).catch(() => ({}))]);
    if (this.sample !== item.sample_id || !this.open) return;
    this.regions = regions;
    const paths = regions.filter(({ id }) => runs[id]).map((one) => draw("g", { "data-id": one.id }, ...["halo", "line"].map((kind) => draw("path", { class: kind, d: outlinePath(runs[one.id]) })), draw("path", { class: "area", d: areaPath(runs[one.id]) })));
    const svg = draw("svg", { viewBox: `0 0 ${item.width} ${item.height}`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...paths);
    svg.addEventListener("click", (event) => {
      const id = Number(event.target.closest("g")?.dataset.id);
      const found = this.regions.find((one) => one.id === id);
      if (found) this.on.open(found);
    });
    fill(this.outlines, svg);
    fill(this.side, this.words(this.item));
    this.#mark();
  }

  /** Outline the current region strongly, the others weakly, the judged ones in their verdict's colour (a blind audit has one region and one colour). */
  #mark() {
    const byId = new Map((this.regions ?? []).map((one) => [one.id, one]));
    let here = null;
    for (const group of this.outlines?.querySelectorAll("g") ?? []) {
      const one = byId.get(Number(group.dataset.id));
      const current = one?.id === this.item.id;
      group.setAttribute("class", [this.face.badge(one, this.classes)?.[2], current ? "here" : ""].filter(Boolean).join(" "));
      if (current) here = group;
    }
    here?.parentNode.append(here); // above the others
  }
}
