// Line above the cards (progress, mix of verdicts, save state, density, name) and line below them (keys, last decisions, page).

import { showAnnotator } from "../shared/annotator.js";
import { fill, h, keycap } from "../shared/dom.js";
import { fitClass, imageUrl, number, savedText, savedTitle } from "../shared/format.js";
import { LOOKS } from "./verdicts.js";
/** @import { Classes, Counts, Finding, SaveStatus, Status } from "../shared/types.d.ts" */
/** @import { Keys } from "../shared/keys.js" */
/** @import { Face } from "./card.js" */
/** @import { Density } from "./grid.js" */

/** @typedef {[action: string, word: string]} ButtonWord */

/**
 * Options of the line: `noun` names the counted findings, `note` follows the mix, with the longer text `noteTitle`; `words` replace names
 * of statuses; `filters` labels the button that opens the left side in a narrow window.
 *
 * @typedef {object} ToplineOptions
 * @property {{ density: (letter: Density) => void, name: () => void, panel: (which: "filters" | "inspector") => void }} on
 * @property {string} [noun]
 * @property {string} [note]
 * @property {string} [noteTitle]
 * @property {string} [filters]
 * @property {Record<string, string>} [words]
 */

/**
 * Options of the line below: `words` are the buttons in their order, `face` decides what a card shows.
 *
 * @typedef {object} FooterOptions
 * @property {Keys} keys
 * @property {string} base
 * @property {Classes} classes
 * @property {Face} face
 * @property {{ act: (action: string) => void, open: (item: Finding) => void, page: (by: number) => void }} on
 * @property {ButtonWord[]} [words]
 */

/** @typedef {{ number: number, first: boolean, atEnd: boolean, selected: number, recent: Finding[] }} FooterState */

/** @type {Exclude<Status, "open">[]} */
const MIX = ["accept", "bulk", "keep", "relabel", "painted", "ambiguous", "exclude"];
/** @type {Record<string, string>} */
const WORDS = { accept: "accept", bulk: "in bulk", keep: "keep", relabel: "relabel", painted: "painted over", ambiguous: "ambiguous", exclude: "exclude" };
/** @type {ButtonWord[]} */
const BUTTONS = [
  ["accept", "accept"], ["keep", "keep"], ["class", "class"], ["search", "search"], ["ambiguous", "ambiguous"], ["exclude", "exclude"],
  ["second_opinion", "second opinion"], ["skip", "skip"], ["undo", "undo"], ["zoom", "zoom"], ["help", "all keys"],
];

/** @type {[Density, string][]} */
const SIZES = [["S", "Small"], ["M", "Medium"], ["L", "Large"]];

export class Topline {
  /** @param {ToplineOptions} options */
  constructor({ on, noun = "", note = "", noteTitle = note, filters = "☰ Filters", words = {} }) {
    this.words = { ...WORDS, ...words };
    this.noun = noun ? ` ${noun}` : "";
    this.title = h("div", { class: "done" });
    this.bar = h("div", { class: "bar", role: "img" });
    this.mix = h("div", { class: "mix" });
    this.status = h("output", { class: "status", "aria-live": "off", dataset: { unsaved: "0", state: "saved" } });
    this.densities = SIZES.map(([letter, size]) =>
      h("button", { type: "button", title: `${size} cards`, onclick: () => on.density(letter) }, letter));
    this.who = h("button", { type: "button", class: "who", onclick: on.name });
    this.element = h("div", { class: "top" },
      h("button", { type: "button", class: "panel-button filters-button", onclick: () => on.panel("filters") }, filters),
      h("div", { class: "prog" }, this.title, this.bar, note ? h("div", { class: "noted" }, this.mix, h("div", { class: "note", title: noteTitle }, note)) : this.mix),
      h("div", { class: "right-end" },
        this.status,
        h("div", { class: "dens", role: "group", "aria-label": "Card size" }, this.densities),
        h("button", { type: "button", class: "panel-button inspector-button", title: "Show or hide the details", onclick: () => on.panel("inspector") }, "◨"),
        this.who));
  }

  /** @param {Counts} counts */
  counts(counts) {
    fill(this.title, h("b", {}, number(counts.decided)), ` of ${number(counts.total)}${this.noun} decided`,
      h("span", { class: "left-over" }, ` · ${number(counts.todo)} left`));
    const present = MIX.map((name) => ({ name, look: LOOKS[name][2], count: counts.by_status[name] ?? 0 })).filter(({ count }) => count > 0);
    const mix = present.map(({ name, count }) => `${this.words[name]} ${number(count)}`).join(" · ");
    this.bar.setAttribute("aria-label", mix || "nothing decided yet");
    fill(this.bar, present.map(({ name, look, count }) => h("i", { class: `${look} ${name}`, style: { width: `${(100 * count) / Math.max(1, counts.total)}%` } })));
    this.mix.textContent = mix || "nothing decided yet";
    this.mix.title = mix;
  }

  /** @param {Density} letter */
  density(letter) {
    for (const button of this.densities) button.setAttribute("aria-pressed", String(button.textContent === letter));
  }

  /** @param {string | null} name */
  name(name) {
    showAnnotator(this.who, name, "judge");
  }

  /** @param {SaveStatus} status */
  saved({ state, unsaved, savedAt, held = 0 }) {
    this.status.dataset.unsaved = String(unsaved);
    this.status.dataset.state = state;
    this.status.textContent = savedText({ state, unsaved, savedAt, held });
    this.status.dataset.held = String(held);
    this.status.title = savedTitle({ state, held }, "round");
  }
}

export class Footer {
  /** @param {FooterOptions} options */
  constructor({ keys, base, classes, face, on, words = BUTTONS }) {
    this.keys = keys;
    this.base = base;
    this.classes = classes;
    this.face = face;
    this.on = on;
    this.words = words;
    this.hints = h("div", { class: "hints" });
    this.help = h("div", {}); // beside the row of hints, which scrolls
    this.selected = h("span", { class: "selected" });
    this.last = h("div", { class: "last", role: "group", "aria-label": "Last decisions" });
    this.page = h("span", { class: "page" });
    this.previous = h("button", { type: "button", class: "link", title: "Previous page (Page ↑)", onclick: () => on.page(-1) }, "⇞ back");
    this.next = h("button", { type: "button", class: "link", title: "Next page (Page ↓)", onclick: () => on.page(1) }, "next ⇟");
    this.element = h("footer", {}, h("div", { class: "hint-row" }, this.hints, this.help), h("div", { class: "below" }, this.last, this.selected, h("div", { class: "pages" }, this.previous, this.page, this.next)));
    this.keysChanged();
  }

  keysChanged() {
    /** @param {ButtonWord} button */
    const hint = ([action, word]) => {
      if (action === "class") return h("span", { class: "hint", title: "The key is shown beside each class" }, keycap("1"), "–", keycap("9"), ` ${word}`);
      if (action === "blink") return h("span", { class: "hint" }, this.keys.cap(action), ` ${word}`);
      return h("button", { type: "button", class: "hint", dataset: { action }, onclick: () => this.on.act(action) }, this.keys.cap(action), ` ${word}`);
    };
    fill(this.hints, this.words.filter(([action]) => action !== "help").map(hint));
    fill(this.help, this.words.filter(([action]) => action === "help").map(hint));
  }

  /** Redraw names of classes. */
  renew() {
    fill(this.last);
  }

  /** @param {FooterState} state */
  draw({ number, first, atEnd, selected, recent }) {
    this.page.textContent = `page ${number}`;
    this.previous.hidden = first;
    this.next.hidden = atEnd;
    this.selected.textContent = selected ? `${selected} selected · verdict keys act on them · Esc clears` : "";
    const drawn = new Map([.../** @type {Iterable<HTMLElement>} */ (this.last.children)].map((button) => [button.dataset.key, button]));
    const wanted = recent.map((item) => {
      const key = `${item.id} ${this.face.status(item)} ${item.label} ${item.skipped ?? false}`;
      const known = drawn.get(key);
      if (known) return known; // ten images less to make for every key
      const look = this.face.badge(item, this.classes);
      const label = `${this.face.title(item, this.classes)}: ${look?.[1] ?? "open"}`;
      return h("button", { type: "button", class: `mini ${look?.[2] ?? ""}`, dataset: { key }, title: label, "aria-label": `Look again at ${label}`, onclick: () => this.on.open(item) },
        h("img", { class: fitClass(item), src: imageUrl(this.base, item, 96), alt: "" }), h("i", { "aria-hidden": "true" }, look?.[0] ?? ""));
    });
    for (const button of drawn.values()) if (!wanted.includes(button)) button.remove();
    wanted.forEach((button, place) => { // buttons that stay in place are not laid out again
      if (this.last.children[place] !== button) this.last.insertBefore(button, this.last.children[place] ?? null);
    });
  }
}
