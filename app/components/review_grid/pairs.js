// Which class is mistaken for which: a matrix for few classes, a ranked list for many. A click is a queue.

import { className, givenName } from "./card.js";
import { fill, h } from "./dom.js";
import { number } from "./format.js";

const MATRIX_CLASSES = 12;
const LISTED = 60;

export class Pairs {
  /** `onpick({given, pseudo})`: null means any. */
  constructor({ classes, onpick }) {
    this.classes = classes;
    this.onpick = onpick;
    this.small = classes.length <= MATRIX_CLASSES;
    this.search = h("input", { type: "search", class: "pair-search", placeholder: "Find a class", "aria-label": "Find a class in the pairs", oninput: () => this.#list() });
    this.body = h("div", { class: "pairs" });
    this.element = h("div", {}, this.small ? null : this.search, this.body);
  }

  draw(pairs, filter) {
    this.pairs = pairs;
    this.filter = filter;
    const place = [...this.body.querySelectorAll("button")].indexOf(this.body.getRootNode().activeElement);
    if (this.small) this.#matrix();
    else this.#list();
    if (place >= 0) this.body.querySelectorAll("button")[place]?.focus(); // drawing must not take the focus away
  }

  #pick(given, pseudo) {
    const same = this.filter.given === given && this.filter.pseudo === pseudo;
    this.onpick(same ? { given: null, pseudo: null } : { given, pseudo });
  }

  #matrix() {
    const counts = new Map(this.pairs.map(([given, pseudo, count]) => [`${given},${pseudo}`, count]));
    const most = Math.max(1, ...counts.values());
    const rows = [...(this.pairs.some(([given]) => given === -1) ? [-1] : []), ...this.classes.keys()];
    const head = h("tr", {}, h("td", {}), [...this.classes.keys()].map((id) => h("th", { scope: "col" }, this.#header(null, id, "v"))));
    fill(this.body, h("table", { class: "mx", "aria-label": "Findings by given and suggested class" }, head,
      rows.map((given) => h("tr", {}, h("th", { scope: "row" }, this.#header(given, null, "")),
        [...this.classes.keys()].map((pseudo) => this.#cell(given, pseudo, counts.get(`${given},${pseudo}`) ?? 0, most))))));
  }

  #header(given, pseudo, extra) {
    const id = given ?? pseudo;
    const name = className(this.classes, id);
    const on = this.filter.given === given && this.filter.pseudo === pseudo;
    return h("button", {
      type: "button", class: extra, title: `${given === null ? "suggested" : "given"} ${name}`, "aria-pressed": String(on), onclick: () => this.#pick(given, pseudo),
    }, id === -1 ? "none" : [...name].slice(0, 4).join(""));
  }

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
    const wanted = this.search.value.trim().toLowerCase();
    const holds = (id) => className(this.classes, id).toLowerCase().includes(wanted);
    const ranked = this.pairs.filter(([given, pseudo]) => !wanted || holds(given) || holds(pseudo)).sort((a, b) => b[2] - a[2]);
    const most = Math.max(1, ranked[0]?.[2] ?? 1);
    fill(this.body,
      ranked.slice(0, LISTED).map(([given, pseudo, count]) => h("button", {
        type: "button", class: "pair", title: `${className(this.classes, given)} → ${className(this.classes, pseudo)}`,
        "aria-pressed": String(this.filter.given === given && this.filter.pseudo === pseudo), style: { "--heat": (count / most).toFixed(2) }, onclick: () => this.#pick(given, pseudo),
      }, givenName(this.classes, given), h("i", {}, "→"), h("b", {}, className(this.classes, pseudo)), h("em", {}, number(count)))),
      ranked.length > LISTED && h("p", { class: "dim" }, `and ${number(ranked.length - LISTED)} more pairs`),
      !ranked.length && h("p", { class: "dim" }, "no pair"));
    this.body.classList.add("list");
  }
}

const short = (count) => (count < 1000 ? String(count) : `${Math.floor(count / 1000)}k`);
