// What the sidebar has for regions alone: the legend, how they are marked, from what area on they are shown.

import { fill, h, keycap } from "./dom.js";
import { number } from "./format.js";
import { Legend } from "./legend.js";
import { MODES } from "./overlay.js";
import { digitsInOrder } from "./regions.js";

const AREAS = [0, 50, 100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]; // pixels

export class RegionFilters {
  /** `on` holds filter(changes). */
  constructor({ info, overlay, keys, on }) {
    Object.assign(this, { info, overlay, keys, on });
    this.legend = new Legend({ classes: info.classes, colours: info.colours, digits: digitsInOrder(info.classes), onpick: (changes) => on.filter(changes) });
    this.image = h("p", { class: "one-image" });
    this.modes = MODES.map((mode) => h("button", { type: "button", dataset: { mode }, onclick: () => overlay.choose(mode) }, mode));
    this.opacity = h("input", { type: "range", min: 0, max: 100, step: 5, "aria-label": "Opacity of fills and class colours", oninput: () => overlay.fade(Number(this.opacity.value) / 100) });
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
  }

  draw(counts, filter) {
    this.legend.draw(counts.pairs, filter);
    const place = AREAS.findLastIndex((area) => area <= filter.min_area);
    if (this.area !== this.area.getRootNode().activeElement) this.area.value = place;
    this.#say(filter.min_area);
    fill(this.image, filter.sample !== null && ["Regions of one image only. ", h("button", { type: "button", class: "link", onclick: () => this.on.filter({ sample: null }) }, "Show all images")]);
  }

  /** Bring the controls in line with how regions are marked now, and the keys printed beside them. */
  drawOverlay() {
    const cap = (action) => this.keys.combos(action).slice(0, 1).map((combo) => keycap(combo));
    fill(this.shown, "Overlay ", cap("overlay"));
    fill(this.strength, "Opacity ", cap("weaker"), " ", cap("stronger"));
    for (const button of this.modes) button.setAttribute("aria-pressed", String(button.dataset.mode === this.overlay.mode));
    this.opacity.value = Math.round(100 * this.overlay.opacity);
    this.opacity.style.setProperty("--at", `${this.opacity.value}%`);
  }

  #say(area) {
    this.least.textContent = area ? `${number(area)} px` : "any";
    this.area.style.setProperty("--at", `${(100 * Number(this.area.value)) / (AREAS.length - 1)}%`);
  }
}
