// Sides of the tag panel: progress and choice of images on the left, the classes of the current image with their marks on the right.

import { offeredOf } from "../shared/classes.js";
import { fill, h, keepFocus, keycap } from "../shared/dom.js";
import { number, percent } from "../shared/format.js";
import { classesByDigit, keyAt } from "../shared/keys.js";
/** @import { ClassId, Classes, TagImage, TagInfo } from "../shared/types.d.ts" */

const SHOWS = [["todo", "To do"], ["tagged", "Tagged"], ["masked", "With a mask"], ["all", "All images"]];

export class Side {
  /**
   * `on` holds show(which), dataset(id); `datasets` are [id, name].
   *
   * @param {{ datasets: [number, string][], on: { show: (which: string) => unknown, dataset: (id: number) => unknown } }} options
   */
  constructor({ datasets, on }) {
    /** @type {HTMLSelectElement} */
    this.choice = h("select", { "aria-label": "Dataset", onchange: () => on.dataset(Number(this.choice.value)) },
      datasets.map(([id, name]) => h("option", { value: String(id) }, name)));
    this.done = h("div", { class: "done" });
    this.bar = h("div", { class: "bar", role: "img" });
    this.about = h("p", { class: "dim about" });
    this.shows = SHOWS.map(([which, word]) => h("button", { type: "button", class: "chip", dataset: { show: which }, onclick: () => on.show(which) }, word));
    this.element = h("aside", { class: "left", "aria-label": "Images" },
      h("div", { class: "field" }, h("span", {}, "Dataset"), this.choice), this.done, this.bar, this.about,
      h("h2", {}, "Images"), h("div", { class: "chips" }, this.shows));
  }

  /** @param {{ info: TagInfo, show: string }} state */
  draw({ info, show }) {
    const { counts, round } = info;
    this.choice.value = String(info.dataset);
    const wanted = counts.images - counts.masked;
    const done = Math.max(0, wanted - counts.left);
    fill(this.done, h("b", {}, number(done)), ` of ${number(wanted)} tagged`, h("span", { class: "left-over" }, ` · ${number(counts.left)} left`));
    fill(this.bar, done > 0 && h("i", { class: "ok", style: { width: `${(100 * done) / Math.max(1, wanted)}%` } }));
    this.bar.setAttribute("aria-label", `${done} of ${wanted} images without a mask are tagged`);
    const masks = counts.masked ? `${number(counts.masked)} more have a mask and need no tags. ` : "";
    this.about.textContent = masks + (round ? `Round ${round.number} suggests.` : "No round suggests yet.");
    for (const button of this.shows) button.setAttribute("aria-pressed", String(button.dataset.show === show));
  }
}

/** Classes marked on images, until they are saved. */
export class Marks {
  constructor() {
    /** @type {Set<ClassId>} */
    this.ids = new Set();
    /** @type {Set<ClassId>} */
    this.suggested = new Set();
    /** @type {Set<ClassId>} */
    this.begun = new Set();
    /** @type {number | null} */
    this.sample = null;
    /** @type {Map<number | null, Set<ClassId>>} */
    this.left = new Map(); // sample -> ids that were marked and not saved
  }

  /** Begin an image: with its unsaved marks, else its tags, else its suggestions. @param {TagImage} item */
  open({ sample, tags, suggested }) {
    this.sample = sample;
    this.suggested = new Set(suggested.map(([id]) => id));
    this.begun = new Set(tags ?? this.suggested);
    this.ids = new Set(this.left.get(sample) ?? this.begun);
  }

  /** Return whether the marks differ from tags and suggestions, so that only a save keeps them. */
  get changed() {
    return this.left.has(this.sample);
  }

  /** @param {ClassId} id */
  toggle(id) {
    if (!this.ids.delete(id)) this.ids.add(id);
    this.#note();
  }

  /** Mark for merged classes those they mean now, here and where it was marked and left. @param {Map<ClassId, ClassId>} means */
  exchange(means) {
    /** @param {Iterable<ClassId>} ids */
    const now = (ids) => new Set([...ids].map((id) => means.get(id) ?? id));
    this.ids = now(this.ids);
    this.suggested = now(this.suggested);
    this.begun = now(this.begun);
    for (const [sample, ids] of this.left) this.left.set(sample, now(ids));
  }

  /** Unmark classes that are not offered any more, also in unsaved marks of other images. @param {ClassId[]} offered */
  keep(offered) {
    for (const ids of [this.ids, ...this.left.values()]) for (const id of ids) if (!offered.includes(id)) ids.delete(id);
  }

  clear() {
    this.ids.clear();
    this.#note();
  }

  suggest() {
    this.ids = new Set(this.suggested);
    this.#note();
  }

  /** Drop the unsaved marks of an image that was saved or undone. @param {number} sample */
  forget(sample) {
    this.left.delete(sample);
  }

  #note() {
    const same = this.ids.size === this.begun.size && [...this.ids].every((id) => this.begun.has(id));
    if (same) this.left.delete(this.sample);
    else this.left.set(this.sample, new Set(this.ids));
  }

  /** Return the marked classes, ascending. */
  list() {
    return [...this.ids].sort((a, b) => a - b);
  }
}

/** Return the class of a digit key, undefined if it has none. @param {number} place @param {Classes} classes */
export function classOf(place, classes) {
  const id = (classesByDigit(classes) ?? offeredOf(classes))[place];
  return id === -1 ? undefined : id;
}

/** Return the key of a class: "1", "⇧3", or "" if it has none. @param {ClassId} id @param {Classes} classes */
export function keyOf(id, classes) {
  return keyAt((classesByDigit(classes) ?? offeredOf(classes)).indexOf(id));
}

export class ClassRows {
  /** @param {{ on: { toggle: (id: ClassId) => void, add: () => void } }} options */
  constructor({ on }) {
    this.on = on;
    /** @type {{ id: ClassId, row: HTMLButtonElement, note: HTMLElement }[]} */
    this.entries = [];
    this.rows = h("div", { class: "classes", role: "group", "aria-label": "Classes in this image" });
    const add = h("button", { type: "button", class: "link new-class", onpointerdown: keepFocus, onclick: () => on.add() }, "Add a class");
    this.element = h("div", { class: "class-panel" }, this.rows, add);
  }

  /** @param {Pick<TagInfo, "classes" | "colours">} info */
  open({ classes, colours }) {
    this.entries = offeredOf(classes).map((id) => {
      const name = classes[id];
      const key = keyOf(id, classes);
      const note = h("em", {});
      const row = h("button", {
        type: "button", class: "tag", title: name, "aria-label": `${name}${key ? `, key ${key}` : ""}`, "aria-pressed": "false",
        onpointerdown: keepFocus, onclick: () => this.on.toggle(id),
      }, key ? keycap(key) : h("span", { class: "no-key" }), h("i", { class: "swatch", style: { background: colours[id] } }), h("span", { class: "class-name" }, name), note,
      h("b", { class: "mark", "aria-hidden": "true" }, "✓"));
      return { id, row, note };
    });
    fill(this.rows, this.entries.map(({ row }) => row));
  }

  /** Show the marks, and the suggestions of `item` with their share of the pixels. @param {Marks} marks @param {TagImage} item */
  draw(marks, item) {
    const share = new Map(item.suggested);
    for (const { id, row, note } of this.entries) {
      row.setAttribute("aria-pressed", String(marks.ids.has(id)));
      row.classList.toggle("suggested", marks.suggested.has(id));
      const part = share.get(id);
      note.textContent = part === undefined ? "" : part < 0.01 ? "< 1 %" : percent(part);
    }
  }

  /** @param {ClassId} id */
  reveal(id) {
    this.entries.find((entry) => entry.id === id)?.row.scrollIntoView({ block: "nearest" });
  }
}
