// Settings of a dataset that this browser keeps: the meaning of the digit keys (the likeliest classes of each card, or fixed ones), and the
// range of greys for images of more than 8 bits. Neither dataset nor rounds change.

import { className, distinctName, offeredOf } from "../shared/classes.js";
import { fill, h, keycap } from "../shared/dom.js";
import { setGreyRange } from "../shared/format.js";
import { openSearch } from "../shared/search.js";
/** @import { Classes, ClassId, Root } from "../shared/types.d.ts" */

/**
 * Options of the choice: `root` is the parent of the class search, `onchange` is called with the meaning of the digits.
 *
 * @typedef {object} DigitsOptions
 * @property {Root} root
 * @property {number} dataset
 * @property {Classes} classes
 * @property {Storage} storage
 * @property {(ids: ClassId[] | null) => void} onchange
 */

const KEYS = 10;
const UNUSED = "no class";
const NONE = -1; // a key whose class is not offered any more
const PREFIX = "outfold.digits.";

/**
 * Return stored class ids, one a key, or null if there are none that fit these classes; NONE in the place of one that is not offered.
 *
 * @param {string | null} text
 * @param {Classes} classes
 * @returns {ClassId[] | null}
 */
export function readFixed(text, classes) {
  try {
    const ids = JSON.parse(text ?? "null");
    const fit = Array.isArray(ids) && ids.length > 0 && ids.length <= KEYS && ids.every((id) => Number.isInteger(id) && id >= NONE && id < classes.length);
    return fit ? keepOffered(ids, classes) : null;
  } catch {
    return null;
  }
}

/**
 * Return the ids with NONE in the place of those that are not offered: the other keys keep their meaning.
 *
 * @param {ClassId[]} ids
 * @param {Classes} classes
 */
function keepOffered(ids, classes) {
  const offered = new Set(offeredOf(classes));
  return ids.map((id) => (offered.has(id) ? id : NONE));
}

/**
 * Return the ids with `id` at a place; if it was at another place, the two are swapped.
 *
 * @param {ClassId[]} ids
 * @param {number} place
 * @param {ClassId} id
 */
export function placeClass(ids, place, id) {
  const next = [...ids];
  const other = next.indexOf(id);
  if (other >= 0) next[other] = next[place];
  next[place] = id;
  return next;
}

export class Digits {
  /** @param {DigitsOptions} options */
  constructor({ root, dataset, classes, storage, onchange }) {
    this.root = root;
    this.classes = classes;
    this.storage = storage;
    this.onchange = onchange;
    this.key = PREFIX + dataset;
    this.fixed = readFixed(storage.getItem(this.key), classes);
    /** @type {HTMLSelectElement} */
    this.choice = h("select", { onchange: () => this.choose(this.choice.value === "fixed" ? this.#first() : null) },
      h("option", { value: "likeliest" }, "likeliest of each card"), h("option", { value: "fixed" }, "fixed classes"));
    this.list = h("div", { class: "digit-list" });
    this.element = h("div", { class: "digits", role: "group", "aria-label": "Digit keys" },
      h("h2", {}, "Digit keys"), h("label", { class: "field" }, h("span", {}, "Mean"), this.choice), this.list);
    this.#draw();
  }

  #first() {
    return offeredOf(this.classes).slice(0, KEYS);
  }

  /** Classes were added, renamed or taken away. */
  renew() {
    this.fixed &&= readFixed(this.storage.getItem(this.key), this.classes);
    this.#draw();
    this.onchange(this.fixed);
  }

  /** Assign these classes to the keys, or (null) the likeliest classes of each card. @param {ClassId[] | null} ids */
  choose(ids) {
    this.fixed = ids;
    if (ids) this.storage.setItem(this.key, JSON.stringify(ids));
    else this.storage.removeItem(this.key);
    this.#draw();
    this.onchange(ids);
  }

  #draw() {
    this.choice.value = this.fixed ? "fixed" : "likeliest";
    fill(this.list, (this.fixed ?? []).map((id, place) => h("button", {
      type: "button", class: "likely", title: `${id === NONE ? UNUSED : className(this.classes, id)}: key ${(place + 1) % 10}. Change`, onclick: () => this.#ask(place),
    }, keycap(String((place + 1) % 10)), h("span", { class: "name" }, id === NONE ? UNUSED : distinctName(this.classes, id)))));
  }

  /** @param {number} place */
  #ask(place) {
    openSearch({ root: this.root, item: { likely: [] }, classes: this.classes, onpick: (id) => this.choose(placeClass(this.fixed ?? [], place, id)) });
  }
}

const WHITEST = 65535;

/** Return a range as it was written, [low, high], or null if it is none. @param {string | null} text @returns {[number, number] | null} */
export function readRange(text) {
  const [low, high, ...more] = (text ?? "").split("-").map(Number);
  const isRange = more.length === 0 && Number.isInteger(low) && Number.isInteger(high) && low >= 0 && low < high && high <= WHITEST;
  return isRange ? [low, high] : null;
}

export class Greys {
  /**
   * `own` is the dataset's range; another one is kept in `storage`, and `onchange` is called when it is chosen.
   *
   * @param {{ dataset: number, own: [number, number], storage: Storage, onchange: () => void }} options
   */
  constructor({ dataset, own, storage, onchange }) {
    this.own = own;
    this.range = own;
    this.storage = storage;
    this.onchange = onchange;
    this.key = `outfold.greys.${dataset}`;
    /** @returns {HTMLInputElement} */
    const input = () => h("input", { type: "number", min: 0, max: WHITEST, onchange: () => this.choose(`${this.black.value}-${this.white.value}`) });
    /** @param {string} label @param {HTMLElement} value */
    const field = (label, value) => h("label", { class: "field" }, h("span", {}, label), value);
    this.black = input();
    this.white = input();
    this.reset = h("button", { type: "button", class: "link", onclick: () => this.choose(own.join("-")) }, "Greys of the dataset");
    this.element = h("div", { class: "greys", role: "group", "aria-label": "Greys of the cards" },
      h("h2", {}, "Greys"), field("Black at", this.black), field("White at", this.white), this.reset);
    this.#show(readRange(storage.getItem(this.key)) ?? own);
  }

  /** Draw by this range from now on; an invalid one changes nothing. @param {string} text */
  choose(text) {
    const range = readRange(text) ?? this.range;
    if (range.join("-") === this.own.join("-")) this.storage.removeItem(this.key);
    else this.storage.setItem(this.key, range.join("-"));
    this.#show(range);
    this.onchange();
  }

  /** @param {[number, number]} range */
  #show(range) {
    this.range = range;
    [this.black.value, this.white.value] = range.map(String);
    this.reset.hidden = range.join("-") === this.own.join("-");
    setGreyRange(range);
  }
}
