// Range of greys for images of more than 8 bits, chosen in this browser. Neither dataset nor rounds change.

import { h } from "../shared/dom.js";
import { setGreyRange } from "../shared/format.js";

const MOST = 65535;

/** Return a range as it was written, [low, high], or null where it is none. @param {string | null} text @returns {[number, number] | null} */
export function readRange(text) {
  const [low, high, ...more] = (text ?? "").split("-").map(Number);
  const isRange = more.length === 0 && Number.isInteger(low) && Number.isInteger(high) && low >= 0 && low < high && high <= MOST;
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
    const input = () => h("input", { type: "number", min: 0, max: MOST, onchange: () => this.choose(`${this.black.value}-${this.white.value}`) });
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
