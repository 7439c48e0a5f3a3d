// Filters of regions: legend of classes, overlay, smallest area.

import { offeredOf } from "../shared/classes.js";
import { fill, focusedBeside, h, keycap } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { keyAt } from "../shared/keys.js";
import { digitsInOrder, swatch } from "../shared/regions.js";
import { MODES } from "./overlay.js";
/** @import { ClassId, Classes, Counts, Filter, RoundInfo } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Overlay } from "./overlay.js" */

/** @typedef {"given" | "pseudo"} Side */

/**
 * Options of the legend: `digits` is the class of each digit key; `onpick` is called with a class of one side, null for any.
 *
 * @typedef {object} LegendOptions
 * @property {Classes} classes
 * @property {string[] | null} colours
 * @property {ClassId[]} digits
 * @property {(changes: Partial<Filter>) => void} onpick
 */

/** @typedef {{ info: RoundInfo, overlay: Overlay, keys: Keys, filter: Filter, on: { filter: (changes: Partial<Filter>) => void } }} RegionFiltersOptions */

/** @type {[Side, string][]} */
const SIDES = [["pseudo", "suggested"], ["given", "given"]];
const AREAS = [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]; // pixels

/** Return how many findings each class has on one side of the pairs [given, suggested, count]. @param {Counts["pairs"]} pairs @param {Side} side */
export function countsBySide(pairs, side) {
  const place = side === "given" ? 0 : 1;
  /** @type {Map<ClassId, number>} */
  const counts = new Map();
  for (const pair of pairs) counts.set(pair[place], (counts.get(pair[place]) ?? 0) + pair[2]);
  return counts;
}

class Legend {
  /** @type {ClassId[]} */ digits;
  /** @type {[ClassId, HTMLElement][]} */ rows;

  // Of the last drawing.
  /** @type {Counts["pairs"]} */ pairs;
  /** @type {Filter} */ filter;

  /** @param {LegendOptions} options */
  constructor({ classes, colours, digits, onpick }) {
    this.classes = classes;
    this.colours = colours;
    this.onpick = onpick;
    /** @type {Side} */
    this.side = "pseudo";
    this.sides = SIDES.map(([side, word]) => h("button", {
      type: "button", class: "side", title: `Count and filter by the ${word} class`, dataset: { side }, onclick: () => this.#turn(side),
    }, word));
    this.list = h("div", { class: "classes" });
    this.element = h("div", { class: "legend" },
      h("div", { class: "legend-head" }, h("h2", {}, "Classes"), h("div", { class: "sides", role: "group", "aria-label": "Which class" }, this.sides)), this.list);
    this.renew(digits);
  }

  /** Classes were added, renamed or taken away; `digits` as before. @param {ClassId[]} digits */
  renew(digits) {
    this.digits = digits;
    this.rows = offeredOf(this.classes).map((id) => [id, this.#row(this.classes[id], id)]);
    fill(this.list, this.rows.map(([, row]) => row));
    if (this.pairs) this.draw(this.pairs, this.filter);
  }

  /** Show how many wait; a filter by the other side turns the legend to it. @param {Counts["pairs"]} pairs @param {Filter} filter */
  draw(pairs, filter) {
    this.pairs = pairs;
    this.filter = filter;
    if (filter[this.side] === null && filter.given !== null) this.side = "given";
    const counts = countsBySide(pairs, this.side);
    for (const button of this.sides) button.setAttribute("aria-pressed", String(button.dataset.side === this.side));
    for (const [id, row] of this.rows) {
      const count = counts.get(id) ?? 0;
      row.setAttribute("aria-pressed", String(filter[this.side] === id));
      row.classList.toggle("none", !count);
      fill(/** @type {Element} */ (row.lastElementChild), number(count));
    }
  }

  /** @param {string} name @param {ClassId} id */
  #row(name, id) {
    const key = keyAt(this.digits.indexOf(id));
    return h("button", { type: "button", class: "class", title: key ? `${name}: key ${key} marks this as right` : name, onclick: () => this.#pick(id) },
      swatch(this.colours, id), h("span", { class: "name" }, name), key ? keycap(key) : h("span", {}), h("em", {}));
  }

  /** @param {ClassId} id */
  #pick(id) {
    this.onpick({ [this.side]: this.filter[this.side] === id ? null : id });
  }

  /** @param {Side} side */
  #turn(side) {
    const chosen = this.filter[this.side];
    const other = this.side;
    this.side = side;
    if (side !== other && chosen !== null) this.onpick({ [other]: null, [side]: chosen });
    else this.draw(this.pairs, this.filter);
  }
}

export class RegionFilters {
  /** @param {RegionFiltersOptions} options */
  constructor({ info, overlay, keys, filter, on }) {
    this.info = info;
    this.overlay = overlay;
    this.keys = keys;
    this.on = on;
    this.legend = new Legend({ classes: info.classes, colours: info.colours, digits: digitsInOrder(info.classes), onpick: (changes) => on.filter(changes) });
    this.image = h("p", { class: "one-image" });
    this.modes = MODES.map((mode) => h("button", { type: "button", dataset: { mode }, onclick: () => overlay.choose(mode) }, mode));
    /** @type {HTMLInputElement} */
    this.opacity = h("input", { type: "range", min: 0, max: 100, step: 5, "aria-label": "Opacity of fills and class colours", oninput: () => overlay.fade(Number(this.opacity.value) / 100) });
    /** @type {HTMLInputElement} */
    this.area = h("input", {
      type: "range", min: 0, max: AREAS.length - 1, step: 1, "aria-label": "Smallest area shown",
      oninput: () => this.#say(AREAS[Number(this.area.value)]), onchange: () => on.filter({ min_area: AREAS[Number(this.area.value)] }),
    });
    this.least = h("span", {});
    this.shown = h("h2", {});
    this.strength = h("h2", {});
    this.element = h("div", { class: "region-filters" }, this.image, this.legend.element,
      this.shown, h("div", { class: "segments", role: "group", "aria-label": "How regions are marked" }, this.modes),
      this.strength, h("div", { class: "slider" }, this.opacity),
      h("h2", {}, "Region area"), h("div", { class: "slider" }, this.least, this.area, h("span", {}, "max")));
    this.drawOverlay();
    this.#drawArea(filter); // a slider that waited for the counts would stand at its end
  }

  /** Classes were added, renamed or taken away. */
  renew() {
    this.legend.renew(digitsInOrder(this.info.classes));
  }

  /** @param {Counts} counts @param {Filter} filter */
  draw(counts, filter) {
    this.legend.draw(counts.pairs, filter);
    this.#drawArea(filter);
    fill(this.image, filter.sample !== null && ["Regions of one image only. ", h("button", { type: "button", class: "link", onclick: () => this.on.filter({ sample: null }) }, "Show all images")]);
  }

  /** Bring the controls in line with how regions are marked now, and the keys printed beside them. */
  drawOverlay() {
    const { keys } = this;
    fill(this.shown, "Overlay ", keys.cap("overlay"));
    fill(this.strength, "Opacity ", keys.cap("weaker"), " ", keys.cap("stronger"));
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === this.overlay.mode));
    this.opacity.value = String(Math.round(100 * this.overlay.opacity));
    this.opacity.style.setProperty("--at", `${this.opacity.value}%`);
  }

  /** @param {Filter} filter */
  #drawArea(filter) {
    const place = AREAS.findLastIndex((area) => area <= filter.min_area);
    if (this.area !== focusedBeside(this.area)) this.area.value = String(place);
    this.#say(filter.min_area);
  }

  /** @param {number} area */
  #say(area) {
    this.least.textContent = area ? `${number(area)} px` : "any";
    this.area.style.setProperty("--at", `${(100 * Number(this.area.value)) / (AREAS.length - 1)}%`);
  }
}
