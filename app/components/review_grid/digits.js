// Meaning of the digit keys: the likeliest classes of each card, or fixed classes, chosen per dataset in this browser.

import { className, distinctName, offeredOf } from "../shared/classes.js";
import { fill, h, keycap } from "../shared/dom.js";
import { openSearch } from "../shared/search.js";
/** @import { ClassId, Classes, Root } from "../shared/types.d.ts" */

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
 * Return stored class ids, one a key, or null where there are none that fit these classes; NONE in the place of one that is not offered.
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
