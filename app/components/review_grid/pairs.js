// Pairs of given and suggested class: a matrix for few classes, a ranked list for many. A click filters the queue.

import { className, foldName, givenName, lettersOf, offeredOf, suggestedName } from "../shared/classes.js";
import { fill, focusedBeside, h } from "../shared/dom.js";
import { number } from "../shared/format.js";
/** @import { ClassId, Classes, Counts, Filter } from "../shared/types.d.ts" */

const MATRIX_CLASSES = 12;
const LISTED = 60;

export class Pairs {
  // Of the last drawing.
  /** @type {Counts["pairs"]} */ pairs;
  /** @type {Filter} */ filter;

  /** `onpick({given, pseudo})`: null means any. @param {{ classes: Classes, onpick: (pair: Pick<Filter, "given" | "pseudo">) => void }} options */
  constructor({ classes, onpick }) {
    this.classes = classes;
    this.onpick = onpick;
    this.small = true; // whether the pairs are drawn as a matrix
    /** @type {string[]} */
    this.letters = [];
    this.search = h("input", { type: "search", class: "pair-search", placeholder: "Find a class", "aria-label": "Find a class in the pairs", oninput: () => this.#list() });
    this.body = h("div", { class: "pairs" });
    this.element = h("div", {}, this.search, this.body);
    this.renew();
  }

  /** Classes were added, renamed or taken away. */
  renew() {
    this.small = offeredOf(this.classes).length <= MATRIX_CLASSES;
    this.letters = this.small ? lettersOf(this.classes) : [];
    this.search.hidden = this.small;
    if (this.pairs) this.draw(this.pairs, this.filter);
  }

  /** @param {Counts["pairs"]} pairs @param {Filter} filter */
  draw(pairs, filter) {
    this.pairs = pairs;
    this.filter = filter;
    const place = [...this.body.querySelectorAll("button")].indexOf(/** @type {HTMLButtonElement} */ (focusedBeside(this.body)));
    this.body.classList.toggle("list", !this.small);
    if (this.small) this.#matrix();
    else this.#list();
    if (place >= 0) this.body.querySelectorAll("button")[place]?.focus(); // drawing must not take the focus away
  }

  /** @param {ClassId | null} given @param {ClassId | null} pseudo */
  #pick(given, pseudo) {
    const same = this.filter.given === given && this.filter.pseudo === pseudo;
    this.onpick(same ? { given: null, pseudo: null } : { given, pseudo });
  }

  #matrix() {
    const counts = new Map(this.pairs.map(([given, pseudo, count]) => [`${given},${pseudo}`, count]));
    const most = Math.max(1, ...counts.values());
    const columns = this.#with(1);
    const rows = [...(this.pairs.some(([given]) => given === -1) ? [-1] : []), ...this.#with(0)];
    const head = h("tr", {}, h("td", {}), columns.map((id) => h("th", { scope: "col" }, this.#header(null, id, "v"))));
    fill(this.body, h("table", { class: "mx", "aria-label": "Findings by given and suggested class" }, head,
      rows.map((given) => h("tr", {}, h("th", { scope: "row" }, this.#header(given, null, "")),
        columns.map((pseudo) => this.#cell(given, pseudo, counts.get(`${given},${pseudo}`) ?? 0, most))))));
  }

  /** Return the offered classes, then others that findings still have on this side of a pair. @param {0 | 1} side */
  #with(side) {
    const offered = offeredOf(this.classes);
    const others = new Set(this.pairs.map((pair) => pair[side]).filter((id) => id >= 0 && !offered.includes(id)));
    return [...offered, ...others];
  }

  /** @param {ClassId | null} given @param {ClassId | null} pseudo @param {string} extra */
  #header(given, pseudo, extra) {
    const id = given ?? pseudo ?? -1;
    const name = className(this.classes, id);
    const on = this.filter.given === given && this.filter.pseudo === pseudo;
    return h("button", {
      type: "button", class: extra, title: `${given === null ? "suggested" : "given"} ${name}`, "aria-pressed": String(on), onclick: () => this.#pick(given, pseudo),
    }, id === -1 ? "none" : this.letters[id]);
  }

  /** @param {ClassId} given @param {ClassId} pseudo @param {number} count @param {number} most */
  #cell(given, pseudo, count, most) {
    const on = this.filter.given === given && this.filter.pseudo === pseudo;
    if (!count && !on) return h("td", { class: given === pseudo ? "d" : "" });
    const label = `${className(this.classes, given)} → ${className(this.classes, pseudo)}: ${number(count)}`;
    return h("td", { class: given === pseudo ? "d" : "" },
      h("button", {
        type: "button", class: count > 99 ? "cell long" : "cell", title: label, "aria-label": label, "aria-pressed": String(on),
        style: { "--heat": Math.sqrt(count / most).toFixed(2) }, onclick: () => this.#pick(given, pseudo),
      }, short(count)));
  }

  #list() {
    const wanted = foldName(this.search.value.trim());
    /** @param {ClassId} id */
    const holds = (id) => foldName(className(this.classes, id)).includes(wanted);
    const ranked = this.pairs.filter(([given, pseudo]) => !wanted || holds(given) || holds(pseudo)).sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    fill(this.body,
      ranked.slice(0, LISTED).map(([given, pseudo, count]) => h("button", {
        type: "button", class: "pair", title: `${className(this.classes, given)} → ${className(this.classes, pseudo)}`,
        "aria-pressed": String(this.filter.given === given && this.filter.pseudo === pseudo), style: { "--heat": (count / most).toFixed(2) }, onclick: () => this.#pick(given, pseudo),
      }, givenName(this.classes, given), h("i", {}, "→"), suggestedName(this.classes, pseudo), h("em", {}, number(count)))),
      ranked.length > LISTED && h("p", { class: "dim" }, `and ${number(ranked.length - LISTED)} more pairs`),
      !ranked.length && h("p", { class: "dim" }, "no pair"));
  }
}

/** @param {number} count */
const short = (count) => (count < 1000 ? String(count) : `${Math.floor(count / 1000)}k`);
