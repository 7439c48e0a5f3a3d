// Table of classes: order, name, counts, and acts on each. One row has the keyboard focus.
//
// The order is shown at once while it is changed, and stored as one act after a pause.

import { cleanName, foldName, sameItems } from "../shared/classes.js";
import { fill, focusedBeside, h } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { swatch } from "../shared/regions.js";
/** @import { Classes, ClassId, ClassOverview, ClassUse, Props, Timers } from "../shared/types.d.ts" */

/**
 * Acts on a class; `busy` tells whether drawing must pause.
 *
 * @typedef {object} RowActs
 * @property {(id: ClassId, name: string) => void} rename
 * @property {(id: ClassId, into?: ClassId) => void} merge
 * @property {(id: ClassId, by: number) => void} move
 * @property {(id: ClassId, place: number) => void} place
 * @property {(on: boolean) => void} busy
 */

/** @typedef {{ ids: ClassId[], classes: Classes, colours: string[] | null, uses: ClassOverview["uses"], filter: string }} Table */
/** @typedef {[count: keyof ClassUse, word: string, meaning: string, always: boolean]} Column */

const EDGE = 36; // pixels: a row dragged so near to the upper or lower edge scrolls the table

/** @type {Column[]} Columns of counts; `always`: shown also where all are 0. */
const COLUMNS = [
  ["images", "Images", "images with this label, or with it in their mask", true], ["decided", "Decided", "of them given by a verdict; of masks, regions", true],
  ["regions", "Regions", "regions of the newest round that are given or suggested to be it", false], ["tagged", "Tagged", "images with it in their tags", false],
  ["open", "Open", "findings to be judged that name it", true],
];

/**
 * Return why a class cannot be called this, "" if it can; `other` is the class that has the name.
 *
 * @param {string} text
 * @param {ClassId} id
 * @param {Classes} classes
 * @param {ClassId[]} offered
 */
export function whyNot(text, id, classes, offered) {
  const name = cleanName(text);
  if (name === null) return { why: "A name has 1 to 100 characters.", other: null };
  const other = offered.find((known) => known !== id && foldName(classes[known]) === foldName(name));
  return other === undefined ? { why: "", other: null } : { why: `${classes[other]} is a class already.`, other };
}

/** @param {Element} row */
function middleOf(row) {
  const { top, bottom } = row.getBoundingClientRect();
  return (top + bottom) / 2;
}

export class Rows {
  /** @param {{ on: RowActs }} options */
  constructor({ on }) {
    this.on = on;
    /** @type {ClassId | null} Class of the row with the keyboard. */
    this.at = null;
    /** @type {ClassId[]} */
    this.ids = [];
    /** @type {ClassId[]} Those in sight under the filter. */
    this.shown = [];
    /** @type {Classes} */
    this.classes = [];
    /** @type {string[] | null} */
    this.colours = null;
    /** @type {ClassOverview["uses"]} */
    this.uses = {};
    /** @type {Column[]} */
    this.counted = [];
    /** @type {Map<ClassId, HTMLTableRowElement>} */
    this.rows = new Map();
    this.body = h("tbody", {});
    this.heads = h("tr", {});
    this.table = h("table", { class: "class-table", "aria-label": "Classes" }, h("thead", {}, this.heads), this.body);
    this.element = h("div", { class: "scroll" }, this.table);
  }

  /** Show the classes `ids`, in their order, whose name contains `filter`. @param {Table} table */
  draw({ ids, classes, colours, uses, filter }) {
    const inside = this.table.contains(focusedBeside(this.table));
    this.ids = ids;
    this.classes = classes;
    this.colours = colours;
    this.uses = uses;
    const wanted = foldName(filter.trim());
    this.shown = ids.filter((id) => foldName(classes[id]).includes(wanted));
    if (this.at === null || !this.shown.includes(this.at)) this.at = this.shown[0] ?? null;
    this.counted = COLUMNS.filter(([name, , , always]) => always || ids.some((id) => uses[id]?.[name]));
    fill(this.heads, h("th", { scope: "col" }, "Order"), h("th", { scope: "col" }, "Class"),
      this.counted.map(([, word, meaning]) => h("th", { scope: "col", class: "n", title: meaning }, word)), h("th", { scope: "col" }, h("span", { class: "live" }, "Acts")));
    this.rows = new Map(this.shown.map((id) => [id, this.#row(id)]));
    fill(this.body, [...this.rows.values()], !this.shown.length && h("tr", {}, h("td", { class: "dim", colSpan: 3 + this.counted.length }, ids.length ? "No class has these letters." : "No classes yet. Add the first one above.")));
    if (inside) this.focus();
  }

  /** Give the keyboard to a class's row. */
  focus(id = this.at) {
    const row = id === null ? null : this.rows.get(id);
    if (id === null || !row) return;
    this.#take(id);
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  /** Move down by this many rows. @param {number} by */
  step(by) {
    const place = (this.at === null ? -1 : this.shown.indexOf(this.at)) + by;
    this.focus(this.shown[Math.max(0, Math.min(place, this.shown.length - 1))]);
  }

  /** Let a class's name be edited in place. */
  rename(id = this.at) {
    const cell = id === null ? null : this.rows.get(id)?.querySelector(".name-cell");
    if (id === null || !cell) return;
    const before = this.classes[id];
    const problem = h("span", { class: "problem", role: "alert" });
    const input = h("input", { type: "text", value: before, "aria-label": `New name of ${before}`, spellcheck: false, onkeydown: (event) => key(event), onblur: () => end(true, false), oninput: () => say() });
    let over = false;
    const say = () => {
      const { why, other } = whyNot(input.value, id, this.classes, this.ids);
      const merge = other !== null && h("button", { type: "button", class: "link", onpointerdown: (event) => event.preventDefault(), onclick: () => { end(false); this.on.merge(id, other); } }, `Merge into ${this.classes[other]}`);
      fill(problem, why, " ", merge);
      return !why;
    };
    /** @param {boolean} keep */
    const end = (keep, focus = true) => {
      if (over) return;
      const name = cleanName(input.value);
      const changed = keep && name !== before && say();
      if (keep && focus && name !== before && !changed) return; // the reason is shown beside it
      over = true;
      this.on.busy(false);
      fill(cell, this.#name(id));
      if (focus) this.focus(id);
      if (changed && name !== null) this.on.rename(id, name);
    };
    /** @param {KeyboardEvent} event */
    const key = (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault();
      end(event.key === "Enter");
    };
    this.#take(id);
    this.on.busy(true);
    fill(cell, input, problem);
    input.focus();
    input.select();
  }

  /** Make a row draggable; it moves on release, Escape cancels. @param {PointerEvent} event @param {ClassId} id */
  #drag(event, id) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.focus(id);
    const row = /** @type {HTMLTableRowElement} */ (this.rows.get(id)); // in which the grip is
    const grip = /** @type {HTMLElement} */ (event.currentTarget);
    const listening = new AbortController();
    /** @type {number | null} */
    let place = null;
    /** @param {ClassId | null | undefined} before @param {ClassId | null | undefined} after */
    const mark = (before, after) => {
      for (const [other, shown] of this.rows) {
        shown.classList.toggle("drop-before", other === before);
        shown.classList.toggle("drop-after", other === after);
      }
    };
    /** @param {PointerEvent} event */
    const move = ({ clientY }) => {
      const { top, bottom } = this.element.getBoundingClientRect();
      if (clientY < top + EDGE) this.element.scrollTop -= EDGE;
      else if (clientY > bottom - EDGE) this.element.scrollTop += EDGE;
      /** @type {[ClassId, number][]} */
      const middles = [...this.rows].map(([other, shown]) => [other, middleOf(shown)]);
      place = placeAtHeight(this.ids, id, middles, clientY);
      const next = this.ids.filter((other) => other !== id)[place];
      mark(this.rows.has(next) ? next : null, this.rows.has(next) ? null : this.shown.findLast((other) => other !== id));
    };
    /** @param {boolean} keep */
    const end = (keep) => {
      listening.abort();
      mark(null, null);
      row.classList.remove("dragged");
      this.on.busy(false);
      if (keep && place !== null) this.on.place(id, place);
    };
    const { signal } = listening;
    grip.setPointerCapture(event.pointerId);
    row.classList.add("dragged");
    this.on.busy(true);
    grip.addEventListener("pointermove", move, { signal });
    grip.addEventListener("pointerup", () => end(true), { signal });
    grip.addEventListener("pointercancel", () => end(false), { signal });
    addEventListener("keydown", (pressed) => {
      pressed.preventDefault();
      pressed.stopImmediatePropagation();
      if (pressed.key === "Escape") end(false);
    }, { capture: true, signal });
  }

  /** @param {ClassId} id */
  #take(id) {
    for (const [other, row] of this.rows) {
      row.tabIndex = other === id ? 0 : -1;
      for (const button of row.querySelectorAll("button")) button.tabIndex = row.tabIndex;
    }
    this.at = id;
  }

  /** @param {ClassId} id */
  #name(id) {
    return h("button", { type: "button", class: "name", title: `Rename ${this.classes[id]}`, tabIndex: id === this.at ? 0 : -1, onclick: () => this.rename(id) }, this.classes[id]);
  }

  /** @param {ClassId} id */
  #row(id) {
    const name = this.classes[id];
    const place = this.ids.indexOf(id);
    /** @param {string} label @param {string} word @param {() => void} run @param {Props} [extra] */
    const button = (label, word, run, extra = {}) => h("button", { type: "button", tabIndex: id === this.at ? 0 : -1, "aria-label": label, title: label, onclick: run, ...extra }, word);
    /** @param {number} by @param {string} word @param {string} label @param {number} end */
    const move = (by, word, label, end) => button(`Move ${name} ${label}`, word, () => this.on.move(id, by), { class: "step-order", disabled: place === end });
    return h("tr", { dataset: { id }, tabIndex: id === this.at ? 0 : -1, "aria-label": name, onfocusin: () => this.at === id || this.#take(id) },
      h("td", { class: "order" }, h("span", { class: "grip", title: `Drag to move ${name}`, "aria-hidden": "true", onpointerdown: (event) => this.#drag(event, id) }, "⠿"), h("span", { class: "place" }, number(place + 1)), move(-1, "↑", "up", 0), move(1, "↓", "down", this.ids.length - 1)),
      h("td", {}, h("div", { class: "class-cell" }, this.colours && swatch(this.colours, id), h("span", { class: "name-cell" }, this.#name(id)))),
      this.counted.map(([column, word]) => h("td", { class: "n", dataset: { word } }, number(this.uses[id]?.[column] ?? 0))),
      h("td", { class: "acts" }, button(`Rename ${name}`, "Rename", () => this.rename(id), { class: "ghost small" }), button(`Merge ${name} into another class`, "Merge…", () => this.on.merge(id), { class: "ghost small" })));
  }
}

const REST_MS = 700; // without a move until the order is stored

/**
 * Return the ids with one at another place, counted from 0; places beyond the ends are the ends.
 *
 * @param {ClassId[]} ids
 * @param {ClassId} id
 * @param {number} place
 */
export function moveTo(ids, id, place) {
  const others = ids.filter((other) => other !== id);
  const at = Math.max(0, Math.min(place, others.length));
  return [...others.slice(0, at), id, ...others.slice(at)];
}

/**
 * Return the index among the others of a class dropped at height `y`; `shown` are [id, height of the row's middle], from the top.
 *
 * @param {ClassId[]} ids
 * @param {ClassId} id
 * @param {[ClassId, number][]} shown
 * @param {number} y
 */
export function placeAtHeight(ids, id, shown, y) {
  const others = ids.filter((other) => other !== id);
  const rows = shown.filter(([other]) => other !== id);
  const below = rows.find(([, middle]) => middle > y);
  if (below) return others.indexOf(below[0]);
  return rows.length ? others.indexOf(rows[rows.length - 1][0]) + 1 : 0;
}

/** Return the ids by their names, "class 2" before "class 10". @param {ClassId[]} ids @param {Classes} classes */
export function sortByName(ids, classes) {
  const { compare } = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  return [...ids].sort((a, b) => compare(classes[a], classes[b]) || a - b);
}

export class Order {
  /** `store(ids)` is called with the order after a pause. @param {{ store: (ids: ClassId[]) => unknown, timers?: Timers }} options */
  constructor({ store, timers = globalThis }) {
    this.store = store;
    this.timers = timers;
    /** @type {ClassId[] | null} Order that is not stored yet. */
    this.wanted = null;
    /** @type {ClassId[]} */
    this.stored = [];
    /** @type {any} */
    this.timer = null;
  }

  /** The ids as they are listed now. */
  get ids() {
    return this.wanted ?? this.stored;
  }

  /** Take over the stored order; a newer order that is not stored yet stays. @param {ClassId[]} ids */
  know(ids) {
    this.stored = [...ids];
    if (this.wanted && !sameItems([...this.wanted].sort(), [...ids].sort())) this.wanted = null; // of other classes
  }

  /** List the classes in this order; returns whether anything moved. @param {ClassId[]} ids */
  set(ids) {
    if (sameItems(ids, this.ids)) return false;
    this.wanted = [...ids];
    this.timers.clearTimeout(this.timer);
    this.timer = this.timers.setTimeout(() => this.flush(), REST_MS);
    return true;
  }

  /** Store the present order now. */
  flush() {
    this.timers.clearTimeout(this.timer);
    const { wanted } = this;
    this.wanted = null;
    if (!wanted || sameItems(wanted, this.stored)) return null;
    this.stored = wanted; // shown until the server has answered
    return this.store(wanted);
  }
}
