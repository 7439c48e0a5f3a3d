// Cards of one page: a listbox whose options are drawn once and then repainted where something changed.

import { paintCard } from "./card.js";
import { fill, h } from "../shared/dom.js";
import { shapeOf } from "../shared/format.js";
/** @import { Child, Finding } from "../shared/types.d.ts" */
/** @import { CardContext } from "./card.js" */

const GAP = 9; // pixels, as in the style sheet
const FLATTER = 1.12; // how far a frame may leave the images' own shape to fill the page with whole rows
const UNUSED = 0.12; // share of the height that may stay empty before another number of columns is tried
const PHONE = 520; // pixels; on less, cards must stay large enough for a finger
/** @type {Record<Density, CardSize>} */
const DENSITIES = {
  S: { width: 74, most: 16, caption: 40 },
  M: { width: 112, most: 11, caption: 57 },
  L: { width: 178, most: 7, caption: 62 },
};
/** @type {Record<Density, CardSize>} */
export const REGION_DENSITIES = {
  S: { width: 118, most: 12, caption: 40 },
  M: { width: 184, most: 8, caption: 42 },
  L: { width: 258, most: 6, caption: 46, steady: true },
};

/** @typedef {"S" | "M" | "L"} Density */
/** @typedef {{ width: number, most: number, caption: number, steady?: boolean }} CardSize `steady`: it is kept whatever the room. */
/** @typedef {Omit<CardContext, "pixels">} PageContext */

/**
 * @typedef {object} GridActs
 * @property {(index: number) => void} focus
 * @property {(index: number, options: { range: boolean }) => void} select
 * @property {(index: number) => void} zoom
 */

export class Grid {
  // Of the last measurement.
  /** @type {number} */ columns;
  /** @type {number} Width divided by height of a picture's frame. */ frame;
  /** @type {number} Width of a card in device pixels. */ pixels;

  /** @type {CardContext} Of the page that is drawn. */ context;

  /** @param {{ on: GridActs, densities?: Record<Density, CardSize> }} options */
  constructor({ on, densities = DENSITIES }) {
    this.on = on;
    this.densities = densities;
    /** @type {Density} */
    this.density = "M";
    /** @type {Finding[]} */
    this.items = [];
    this.aspect = 1;
    /** @type {HTMLElement[]} */
    this.cards = [];
    /** @type {HTMLElement | null} */
    this.focused = null;
    this.element = h("div", { class: "grid", role: "listbox", tabIndex: 0, "aria-multiselectable": "true", "aria-label": "Findings to judge" });
    this.element.addEventListener("click", (event) => this.#click(event));
    this.element.addEventListener("dblclick", (event) => this.#at(event, (index) => this.on.zoom(index)));
    this.element.addEventListener("mousedown", (event) => event.shiftKey && event.preventDefault()); // no text selection
  }

  /** Choose small, medium or large cards. @param {Density} density */
  resize(density) {
    this.density = density;
    this.element.className = `grid density-${density.toLowerCase()}`;
  }

  /** Return how many columns and cards fit the space there is. */
  measure() {
    const { width, most, caption, steady } = this.densities[this.density];
    const space = this.element.clientWidth - 8;
    const wished = Math.max(2, Math.min(most, Math.round((space + GAP) / (width + GAP))));
    const choices = space < PHONE || steady ? [wished] : [wished, wished + 1, wished - 1];
    const layouts = choices.filter((columns) => columns > 1).map((columns) => this.#layout(columns, space, caption));
    const best = layouts[0].unused < UNUSED ? layouts[0] : layouts.reduce((a, b) => (b.unused < a.unused - 0.02 ? b : a));
    this.columns = best.columns;
    this.frame = best.frame;
    this.pixels = best.card * (globalThis.devicePixelRatio ?? 1);
    this.element.style.setProperty("--columns", String(best.columns));
    this.element.style.setProperty("--aspect", String(best.frame));
    return { columns: best.columns, size: best.columns * best.rows };
  }

  /**
   * Return the layout of rows that fills the height with this many columns: whole rows, in a frame near the images' own shape.
   *
   * @param {number} columns
   * @param {number} space
   * @param {number} caption
   */
  #layout(columns, space, caption) {
    const card = (space - GAP * (columns - 1)) / columns;
    const below = GAP + caption + 2; // room that a row needs below its image
    const height = this.element.clientHeight - 8 + GAP;
    let rows = Math.max(1, Math.floor(height / (card / this.aspect + below)));
    const flatter = (card - 2) / (height / (rows + 1) - below); // the frame that lets one more row in
    let frame = Math.min(this.aspect, Math.max(this.aspect / FLATTER, (card - 2) / Math.max(1, height / rows - below)));
    if (flatter > 0 && flatter < this.aspect * FLATTER) {
      rows += 1;
      frame = flatter;
    }
    return { columns, rows, frame, card, unused: 1 - (rows * (card / frame + below)) / height };
  }

  /** Choose the frame that suits most of the images, between 3:4 and 3:2. @param {Finding[]} items */
  chooseAspect(items) {
    const own = items.map(shapeOf).filter(({ width, height }) => width && height).map(({ width, height }) => width / height).sort((a, b) => a - b);
    this.aspect = own.length ? Math.min(1.5, Math.max(0.75, own[own.length >> 1])) : 1;
  }

  /** Draw a page; `context.face` decides the appearance of cards. @param {Finding[]} items @param {PageContext} context */
  draw(items, context) {
    this.items = items;
    this.context = { ...context, pixels: this.pixels };
    this.cards = items.map((item) => context.face.card(item, this.context));
    fill(this.element, this.cards);
    this.element.scrollTop = 0;
    this.#options(true);
  }

  /** Show an empty state, or the skeleton of a loading page, in place of cards. @param {...Child} children */
  replace(...children) {
    this.items = [];
    this.cards = [];
    fill(this.element, ...children);
    this.#options(false);
  }

  skeleton() {
    const { size } = this.measure();
    this.replace(Array.from({ length: size }, () => h("div", { class: "card ghost", "aria-hidden": "true" }, h("div", { class: "im" }), h("div", { class: "cap" }))));
  }

  /**
   * Repaint every card, or those with the given ids only.
   *
   * @param {{ focus: number, selection: Set<number> }} cursor
   * @param {Set<number | undefined> | null} [ids]
   */
  paint({ focus, selection }, ids = null) {
    this.cards.forEach((card, index) => {
      const item = this.items[index];
      if (ids && !ids.has(item.id)) return;
      paintCard(card, item, { face: this.context.face, classes: this.context.classes, focused: index === focus, selected: selection.has(item.id) });
    });
    const focused = this.cards[focus];
    if (!focused) return;
    this.element.setAttribute("aria-activedescendant", focused.id);
    this.focused = focused;
  }

  /** Scroll the focused card into view; last, since it forces a layout. */
  follow() {
    this.focused?.scrollIntoView?.({ block: "nearest" });
  }

  /** @param {boolean} present */
  #options(present) {
    // a listbox without options is not a listbox
    this.element.setAttribute("role", present ? "listbox" : "group");
    this.element.tabIndex = present ? 0 : -1;
    if (present) this.element.setAttribute("aria-multiselectable", "true");
    else for (const name of ["aria-multiselectable", "aria-activedescendant"]) this.element.removeAttribute(name);
  }

  /** @param {MouseEvent} event @param {(index: number) => void} then */
  #at(event, then) {
    const card = /** @type {Element} */ (event.target).closest?.(".card[data-id]");
    const index = this.cards.indexOf(/** @type {HTMLElement} */ (card));
    if (index >= 0) then(index);
  }

  /** @param {MouseEvent} event */
  #click(event) {
    this.#at(event, (index) => {
      const range = event.shiftKey;
      const toggle = event.ctrlKey || event.metaKey || Boolean(/** @type {Element} */ (event.target).closest(".tick"));
      if (range || toggle) this.on.select(index, { range });
      else this.on.focus(index);
    });
  }
}
